# SPDX-License-Identifier: Apache-2.0
"""Turns the heads into semantic, instance and panoptic maps."""

import tensorflow as tf

from panpipe.custom_ops import kernels
from panpipe.custom_ops import rules as ops_rules
from panpipe.model import labels as label_codec
from panpipe.model import tensors
from panpipe.model.postprocess import centers, grouping


def panoptic(
    heads: tensors.Heads,
    labels: label_codec.LabelSpec,
    *,
    center_threshold: float = 0.1,
    nms_kernel: int = 13,
    keep_k_centers: int = 200,
    stuff_area_limit: int = 0,
    use_op: bool = True,
) -> tensors.Prediction:
    """Predicts classes, groups thing pixels around centers, and merges both into panoptic ids.

    Without an instance branch there is nothing to tell the things of a class apart: each thing class becomes
    one segment of the image, and instance and score are 0.

    Args:
      heads: at full resolution (see `upsample`), any batch.
      labels: the classes and the panoptic codec.
      center_threshold, nms_kernel: as `centers.peaks`.
      keep_k_centers: as `centers.positions`.
      stuff_area_limit: as `kernels.merge`.
      use_op: uses the compiled ops if they were built; the result is the same, bit for bit.

    Source: Cheng et al., Panoptic-DeepLab (CVPR 2020), section 3.2, "Efficient merging".
    """
    if use_op:
        size = tf.shape(heads.semantic_logits)[1:3]
        choice = ops_rules.CenterRules(center_threshold, nms_kernel, keep_k_centers)
        rules = ops_rules.Rules(labels.thing_ids, labels.label_divisor, stuff_area_limit, labels.ignore_label)
        prediction = kernels.panoptic_from_heads(heads, size, choice, rules)
        if prediction is not None:
            return prediction
    # Softmax keeps the order of the logits, so it needs not be computed.
    semantic = tf.argmax(heads.semantic_logits, axis=-1, output_type=tf.int32)
    if heads.center_heatmap is None or heads.offset is None:
        instance, score = tf.zeros_like(semantic), tf.zeros_like(semantic, tf.float32)
        groups = semantic
    else:
        is_thing = tf.gather(labels.thing_table(), semantic)
        peaks = centers.peaks(heads.center_heatmap[..., 0], threshold=center_threshold, nms_kernel=nms_kernel)
        instance, score = grouping.group(
            peaks, heads.offset, is_thing, keep_k_centers=keep_k_centers, use_op=use_op
        )
        groups = instance
    merged = kernels.merge(
        semantic,
        groups,
        thing_ids=labels.thing_ids,
        label_divisor=labels.label_divisor,
        stuff_area_limit=stuff_area_limit,
        void_label=labels.ignore_label,
        use_op=use_op,
    )
    return tensors.Prediction(panoptic=merged, semantic=semantic, instance=instance, score=score)
