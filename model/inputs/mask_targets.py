# SPDX-License-Identifier: Apache-2.0
"""Computes the training targets of a mask transformer from a panoptic map.

Source: Wang et al., MaX-DeepLab (CVPR 2021), section 3.1.
"""

import tensorflow as tf

from panpipe.model import labels as label_codec
from panpipe.model import tensors
from panpipe.model.inputs import runs as runs_lib


def targets(
    panoptic: tf.Tensor,
    labels: label_codec.LabelSpec,
    *,
    max_things: int = 128,
    small_instance_threshold: int = 0,
    small_instance_weight: float = 1.0,
) -> tensors.MaskTargets:
    """Computes the targets of one image, or of a batch, at the resolution of the panoptic map.

    Things are numbered in the order in which they appear, row by row. A crowd has no mask that a slot could
    learn, so it is void here, in `semantic` as well; so are the smallest things beyond `max_things`.

    Args:
      panoptic: int32 [height, width] or [batch, height, width], `semantic * label_divisor + instance`.
      labels: what the integers mean.
      max_things: the most things of an image.
      small_instance_threshold: an instance of fewer visible pixels is small.
      small_instance_weight: weight of its pixels in `semantic_weight`; all others have 1.

    Returns:
      Targets whose `key` is None.

    Raises:
      ValueError: panoptic has another rank.
    """
    panoptic = tf.convert_to_tensor(panoptic, tf.int32)

    def of_image(one: tf.Tensor) -> tensors.MaskTargets:
        return _of_image(one, labels, max_things, small_instance_threshold, small_instance_weight)

    if panoptic.shape.rank == 2:
        return of_image(panoptic)
    if panoptic.shape.rank != 3:
        raise ValueError(f'panoptic {panoptic.shape} must be [height, width] or [batch, height, width]')
    plane = tf.TensorSpec(panoptic.shape[1:], tf.int32)
    specs = (plane, tf.TensorSpec(plane.shape, tf.float32), plane, tf.TensorSpec([max_things], tf.int32))
    # Without the key, which map_fn cannot carry while it is None.
    return tensors.MaskTargets(
        *tf.map_fn(lambda one: tuple(of_image(one)[:4]), panoptic, fn_output_signature=specs)
    )


def _of_image(
    panoptic: tf.Tensor, labels: label_codec.LabelSpec, max_things: int, threshold: int, weight: float
) -> tensors.MaskTargets:
    semantic, shape = runs_lib.classes(panoptic, labels), tf.shape(panoptic)
    runs, ids = runs_lib.of_instances(panoptic, labels)
    area = tf.math.unsorted_segment_sum(runs.length, runs.segment, tf.size(ids))
    rank = tf.argsort(tf.argsort(area, direction='DESCENDING', stable=True))
    is_kept = rank < max_things
    number = tf.where(is_kept, tf.cumsum(tf.cast(is_kept, tf.int32)) - 1, -1)
    along = tf.repeat(tf.gather(number, runs.segment), runs.length)
    mask = runs_lib.write(runs.first, runs.length, along, -1, shape)
    classes = tf.boolean_mask(ids, is_kept) // labels.label_divisor
    is_small = tf.gather(area < threshold, runs.segment)
    is_thing = runs_lib.is_any(semantic, labels.thing_ids)
    result = tensors.MaskTargets(
        semantic=tf.where(is_thing & (mask < 0), labels.ignore_label, semantic),
        semantic_weight=runs_lib.weights(runs, is_small, shape, weight),
        thing_id_mask=mask,
        thing_id_class=tf.pad(classes, [[0, max_things - tf.size(classes)]], constant_values=-1),
    )
    static = 3 * [panoptic.shape] + [[max_things]]
    return tensors.MaskTargets(*map(tf.ensure_shape, result[:4], static))
