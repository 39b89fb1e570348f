# SPDX-License-Identifier: Apache-2.0
"""Post-processing in one step, from heads at the decoder's stride to a prediction at full resolution."""

from panpipe.custom_ops import kernels
from panpipe.custom_ops import rules as ops_rules
from panpipe.model import labels as label_codec
from panpipe.model import tensors
from panpipe.model.postprocess.panoptic import panoptic
from panpipe.model.postprocess.upsample import upsample


def panoptic_from_heads(
    heads: tensors.Heads,
    labels: label_codec.LabelSpec,
    *,
    height: int,
    width: int,
    center_threshold: float = 0.1,
    nms_kernel: int = 13,
    keep_k_centers: int = 200,
    stuff_area_limit: int = 0,
    use_op: bool = True,
) -> tensors.Prediction:
    """Makes a prediction [batch, height, width] of heads at the decoder's stride.

    It equals `postprocess.upsample` followed by `postprocess.panoptic`, whose arguments these are, bit for
    bit. With the compiled op it is much faster than those and needs little memory beside the prediction.
    """
    prediction = None
    if use_op:
        centers = ops_rules.CenterRules(center_threshold, nms_kernel, keep_k_centers)
        rules = ops_rules.Rules(labels.thing_ids, labels.label_divisor, stuff_area_limit, labels.ignore_label)
        prediction = kernels.panoptic_from_heads(heads, (height, width), centers, rules)
    if prediction is not None:
        return prediction
    return panoptic(
        upsample(heads, height, width),
        labels,
        center_threshold=center_threshold,
        nms_kernel=nms_kernel,
        keep_k_centers=keep_k_centers,
        stuff_area_limit=stuff_area_limit,
        use_op=use_op,
    )
