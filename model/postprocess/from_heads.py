# SPDX-License-Identifier: Apache-2.0
"""Post-processing in one step, from heads at the decoder's stride to a prediction at full resolution."""

from panpipe.custom_ops import kernels
from panpipe.model import labels as label_codec
from panpipe.model import tensors
from panpipe.model.postprocess import upsampled
from panpipe.model.postprocess.numbers import Numbers
from panpipe.model.postprocess.upsample import upsample


def panoptic_from_heads(
    heads: tensors.Heads,
    labels: label_codec.LabelSpec,
    *,
    height: int,
    width: int,
    center_threshold: float = Numbers.center_threshold,
    nms_kernel: int = Numbers.nms_kernel,
    keep_k_centers: int = Numbers.keep_k_centers,
    stuff_area_limit: int = Numbers.stuff_area_limit,
    use_op: bool = Numbers.use_op,
) -> tensors.Prediction:
    """Does what `predict` does; the numbers are named one by one, as the fields of `Numbers`."""
    numbers = Numbers(center_threshold, nms_kernel, keep_k_centers, stuff_area_limit, use_op)
    return predict(heads, labels, (height, width), numbers)


def predict(
    heads: tensors.Heads,
    labels: label_codec.LabelSpec,
    size: tuple[int, int],
    numbers: Numbers,
) -> tensors.Prediction:
    """Makes a prediction of `size`, (height, width), of heads at the decoder's stride.

    It equals `postprocess.upsample` followed by `postprocess.panoptic`, bit for bit. With the compiled op it
    is much faster than those and needs little memory beside the prediction.
    """
    if numbers.use_op:
        prediction = kernels.panoptic_from_heads(heads, size, *numbers.rules(labels))
        if prediction is not None:
            return prediction
    return upsampled.predict(upsample(heads, *size), labels, numbers)
