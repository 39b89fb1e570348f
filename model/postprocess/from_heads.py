# SPDX-License-Identifier: Apache-2.0
"""Post-processing in one step, from heads at the decoder's stride to a prediction at full resolution."""

from typing import Any

from panpipe.custom_ops import kernels
from panpipe.model import labels as label_codec
from panpipe.model import tensors
from panpipe.model.postprocess import numbers as numbers_lib
from panpipe.model.postprocess import upsampled
from panpipe.model.postprocess.upsample import upsample


def panoptic_from_heads(
    heads: tensors.Heads, labels: label_codec.LabelSpec, *, height: int, width: int, **numbers: Any
) -> tensors.Prediction:
    """Does what `predict` does; the numbers are named one by one, as the fields of `Numbers`."""
    return predict(heads, labels, (height, width), numbers_lib.Numbers(**numbers))


def predict(
    heads: tensors.Heads,
    labels: label_codec.LabelSpec,
    size: tuple[int, int],
    numbers: numbers_lib.Numbers,
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
