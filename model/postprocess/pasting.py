# SPDX-License-Identifier: Apache-2.0
"""From the masks of slots to a prediction, in TensorFlow's own operations: what runs where the op is absent.

XLA compiles it, for every shape is known beforehand.
"""

import tensorflow as tf

from panpipe.custom_ops import masks as ops_masks
from panpipe.custom_ops import rules as ops_rules
from panpipe.model import tensors
from panpipe.model.postprocess import mask_pixels


def predict(masks: ops_masks.Masks, size: tuple[int, int], rules: ops_rules.MaskRules) -> tensors.Prediction:
    """Predicts maps [batch, *size], image by image; it equals `custom_ops.masks.panoptic` bit for bit."""
    return tf.map_fn(
        lambda image: _predict(ops_masks.Masks(*image), size, rules),
        tuple(masks),
        fn_output_signature=tensors.Prediction(tf.int32, tf.int32, tf.int32, tf.float32),
    )


def _predict(masks: ops_masks.Masks, size: tuple[int, int], rules: ops_rules.MaskRules) -> tensors.Prediction:
    """Predicts one image; `masks` has no axis of images."""
    pixels = mask_pixels.classify(masks.logits, masks.is_alive, *size)
    is_any_alive = tf.reduce_any(masks.is_alive)
    if rules.is_maskwise:
        held = mask_pixels.masks(masks.logits, masks.is_alive, rules.pixel_threshold, *size)
        owner = paste(held, tf.argsort(masks.number), masks.may_paste, rules.overlap_threshold)
        instance = tf.where(owner < 0, 1, tf.gather(masks.number, tf.maximum(owner, 0)))
    else:
        is_sure = pixels.leads & (pixels.score > rules.pixel_threshold) & is_any_alive
        owner = tf.where(is_sure, pixels.slot, -1)
        instance = tf.where(is_any_alive, tf.gather(masks.number, pixels.slot), 1)
    return tensors.Prediction(
        panoptic=_panoptic(owner, masks, rules),
        semantic=tf.gather(masks.label, pixels.likeliest),
        instance=instance,
        score=tf.where(is_any_alive, pixels.score, 0.0),
    )


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
        mask = masks[slot]
        new = mask & (owner < 0)
        area, free = (tf.cast(tf.reduce_sum(tf.cast(part, tf.int32)), tf.float32) for part in (mask, new))
        is_pasted = may_paste[slot] & (free > overlap_threshold * area)
        return rank + 1, tf.where(new & is_pasted, slot, owner)

    start = (tf.constant(0), tf.fill(masks.shape[1:], -1))
    return tf.while_loop(lambda rank, _: rank < masks.shape[0], step, start)[1]


def _panoptic(owner: tf.Tensor, masks: ops_masks.Masks, rules: ops_rules.MaskRules) -> tf.Tensor:
    """Makes panoptic ids of the slots that own pixels, int32 [height, width]; what is too small is void."""
    label, number, is_thing = masks.label, masks.number, masks.is_thing
    slots = label.shape[0]
    area = tf.math.unsorted_segment_sum(tf.ones_like(owner), tf.where(owner < 0, slots, owner), slots + 1)[
        :slots
    ]
    of_class = tf.reduce_sum(tf.where(label[:, None] == label, area, 0), 1)
    is_kept = tf.where(is_thing, area >= rules.thing_area_limit, of_class >= rules.stuff_area_limit)
    ids = label * rules.label_divisor + tf.where(is_thing, number, 0)
    return tf.gather(tf.concat([[rules.void], tf.where(is_kept, ids, rules.void)], 0), owner + 1)
