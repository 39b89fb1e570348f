# SPDX-License-Identifier: Apache-2.0
"""Which slot of a mask transformer gets which pixels, and what panoptic ids these make."""

import tensorflow as tf

from panpipe.model import labels as label_codec
from panpipe.model.postprocess import mask_rules


def paste(masks: tf.Tensor, order: tf.Tensor, may_paste: tf.Tensor, overlap_threshold: float) -> tf.Tensor:
    """Pastes masks one after the other on what is still free.

    A mask is pasted if more than a share of it is free. One that is not pasted leaves its pixels to others.

    Args:
      masks: bool [slots, height, width].
      order: int32 [slots], the slot that pastes first, and so on.
      may_paste: bool [slots].
      overlap_threshold: the share, 0 .. 1.

    Returns:
      int32 [height, width], the slot of each pixel, -1 where none was pasted.
    """

    def step(rank: tf.Tensor, owner: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        slot = order[rank]
        new = masks[slot] & (owner < 0)
        wanted = overlap_threshold * tf.cast(_count(masks[slot]), tf.float32)
        is_pasted = may_paste[slot] & (tf.cast(_count(new), tf.float32) > wanted)
        return rank + 1, tf.where(new & is_pasted, slot, owner)

    start = tf.constant(0), tf.fill(masks.shape[1:], -1)
    return tf.while_loop(lambda rank, _: rank < masks.shape[0], step, start)[1]


def panoptic(
    owner: tf.Tensor,
    label: tf.Tensor,
    number: tf.Tensor,
    labels: label_codec.LabelSpec,
    limits: mask_rules.AreaLimits,
) -> tf.Tensor:
    """Makes panoptic ids of one image; segments that are too small become void.

    Args:
      owner: int32 [height, width], the slot that a pixel belongs to, or -1.
      label: int32 [slots], the class of each slot.
      number: int32 [slots], below the label divisor, of a thing.
      labels: the classes and the panoptic codec.
      limits: what a segment must measure.

    Returns:
      int32 [height, width].
    """
    slots = label.shape[0]
    area = tf.math.unsorted_segment_sum(tf.ones_like(owner), tf.where(owner < 0, slots, owner), slots + 1)[
        :slots
    ]
    of_class = tf.gather(tf.math.unsorted_segment_sum(area, label, labels.num_classes), label)
    is_thing = tf.gather(labels.thing_table(), label)
    is_kept = tf.where(is_thing, area >= limits.thing, of_class >= limits.stuff)
    ids = tf.where(is_kept, labels.encode(label, tf.where(is_thing, number, 0)), labels.void)
    return tf.gather(tf.concat([[labels.void], ids], 0), owner + 1)


def _count(mask: tf.Tensor) -> tf.Tensor:
    return tf.reduce_sum(tf.cast(mask, tf.int32))
