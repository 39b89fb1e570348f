# SPDX-License-Identifier: Apache-2.0
"""Turns the heads into semantic, instance and panoptic maps."""

import tensorflow as tf

from panpipe.custom_ops import kernels
from panpipe.model import labels as label_codec
from panpipe.model import tensors
from panpipe.model.postprocess import centers, grouping
from panpipe.model.postprocess.numbers import Numbers


def panoptic(
    heads: tensors.Heads,
    labels: label_codec.LabelSpec,
    *,
    center_threshold: float = Numbers.center_threshold,
    nms_kernel: int = Numbers.nms_kernel,
    keep_k_centers: int = Numbers.keep_k_centers,
    stuff_area_limit: int = Numbers.stuff_area_limit,
    use_op: bool = Numbers.use_op,
) -> tensors.Prediction:
    """Does what `predict` does; the numbers are named one by one, as the fields of `Numbers`."""
    numbers = Numbers(center_threshold, nms_kernel, keep_k_centers, stuff_area_limit, use_op)
    return predict(heads, labels, numbers)


def predict(
    heads: tensors.Heads,
    labels: label_codec.LabelSpec,
    numbers: Numbers,
) -> tensors.Prediction:
    """Predicts classes, groups thing pixels around centers, and merges both into panoptic ids.

    Without an instance branch there is nothing to tell the things of a class apart: each thing class becomes
    one segment of the image, and instance and score are 0.

    Args:
      heads: at full resolution (see `upsample`), any batch.
      labels: the classes and the panoptic codec.
      numbers: of the search for centers and of the merge.

    Source: Cheng et al., Panoptic-DeepLab (CVPR 2020), section 3.2, "Efficient merging".
    """
    if numbers.use_op:
        size = tf.shape(heads.semantic_logits)[1:3]
        prediction = kernels.panoptic_from_heads(heads, size, *numbers.rules(labels))
        if prediction is not None:
            return prediction
    # Softmax keeps the order of the logits, so it needs not be computed.
    semantic = tf.argmax(heads.semantic_logits, axis=-1, output_type=tf.int32)
    if heads.center_heatmap is None or heads.offset is None:
        instance, score = tf.zeros_like(semantic), tf.zeros_like(semantic, tf.float32)
        groups = semantic
    else:
        is_thing = tf.gather(labels.thing_table(), semantic)
        instance, score = _grouped(heads.center_heatmap, heads.offset, is_thing, numbers)
        groups = instance
    merged = kernels.merge(
        semantic,
        groups,
        thing_ids=labels.thing_ids,
        label_divisor=labels.label_divisor,
        stuff_area_limit=numbers.stuff_area_limit,
        void_label=labels.ignore_label,
        use_op=numbers.use_op,
    )
    return tensors.Prediction(panoptic=merged, semantic=semantic, instance=instance, score=score)


def _grouped(
    heatmap: tf.Tensor, offset: tf.Tensor, is_thing: tf.Tensor, numbers: Numbers
) -> tuple[tf.Tensor, tf.Tensor]:
    """Groups thing pixels around the peaks of the heat-map; see `grouping.group`."""
    peaks = centers.peaks(heatmap[..., 0], threshold=numbers.center_threshold, nms_kernel=numbers.nms_kernel)
    return grouping.group(
        peaks, offset, is_thing, keep_k_centers=numbers.keep_k_centers, use_op=numbers.use_op
    )
