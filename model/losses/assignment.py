# SPDX-License-Identifier: Apache-2.0
"""Which slot each true segment is assigned to, and how well the two fit.

Source: Wang et al., MaX-DeepLab (CVPR 2021), section 3.2.
"""

from typing import NamedTuple

import tensorflow as tf

from panpipe.model import tensors
from panpipe.model.losses import matching, truths


class Assignment(NamedTuple):
    """Holds what every slot of a batch should learn. No gradient flows into it.

    Attributes:
      target: float32 [batch, pixels, slots], one where the slot's segment is.
      is_valid: float32 [batch, pixels], zero on void, and on segments that no slot was left for.
      channel: int32 [batch, slots], channel of the class that the slot should say.
      is_matched: bool [batch, slots], whether the slot has a segment; otherwise its class is void.
      dice: float32 [batch, slots], overlap of a matched slot with its segment, 0 .. 1.
      certainty: float32 [batch, slots], the class probability of a matched slot.
      void_share: float32 [batch, slots], the share of the slot's mask that lies on void.
    """

    target: tf.Tensor
    is_valid: tf.Tensor
    channel: tf.Tensor
    is_matched: tf.Tensor
    dice: tf.Tensor
    certainty: tf.Tensor
    void_share: tf.Tensor


def assign(heads: tensors.MaskHeads, truth: truths.Truths, match: matching.Match) -> Assignment:
    """Assigns true segments to slots, by overlap times class probability.

    Where an image has more segments than slots, the largest ones get a slot, and the others' pixels count as
    void.

    Args:
      heads: [batch, …].
      truth: of the batch, at the resolution of the mask logits.
      match: finds the best assignment.
    """
    masks = pixels(heads.mask_logits)
    probability = tf.stop_gradient(tf.nn.softmax(masks))
    num_slots, void = masks.shape[2], heads.class_logits.shape[2] - 1
    truth = truth.largest(num_slots)
    is_valid = tf.cast(truth.is_valid, tf.float32)
    dice = _dice(probability * is_valid[..., None], truth)
    certainty = _certainty(tf.stop_gradient(heads.class_logits), truth)
    slot = match(dice * certainty, truth.area > 0)
    # Of every slot: 1 for its row, 0 for the others.
    is_row = tf.one_hot(slot, num_slots)
    slot_of_pixel = tf.where(truth.row < 0, -1, tf.gather(slot, tf.maximum(truth.row, 0), batch_dims=1))
    on_void = tf.einsum('bpm,bp->bm', probability, 1.0 - is_valid)
    is_matched = tf.reduce_sum(is_row, 1) > 0
    channel = tf.einsum('brm,br->bm', is_row, tf.cast(truth.channel, tf.float32))
    return Assignment(
        target=tf.one_hot(slot_of_pixel, num_slots),
        is_valid=is_valid,
        channel=tf.where(is_matched, tf.cast(channel, tf.int32), void),
        is_matched=is_matched,
        dice=tf.reduce_sum(dice * is_row, 1),
        certainty=tf.reduce_sum(certainty * is_row, 1),
        void_share=on_void / (tf.reduce_sum(probability, 1) + 1e-5),
    )


def pixels(maps: tf.Tensor) -> tf.Tensor:
    """Turns maps [batch, height, width, channels] into [batch, height * width, channels]."""
    _, height, width, channels = maps.shape
    return tf.reshape(maps, [tf.shape(maps)[0], height * width, channels])


def _dice(probability: tf.Tensor, truth: truths.Truths) -> tf.Tensor:
    """Returns the overlap of each row with each slot, float32 [batch, rows, slots]."""
    common = tf.einsum('bpr,bpm->brm', truth.masks, probability)
    areas = truth.area[:, :, None] + tf.reduce_sum(probability, 1)[:, None, :]
    return common / (areas / 2.0 + 1e-5)


def _certainty(class_logits: tf.Tensor, truth: truths.Truths) -> tf.Tensor:
    """Returns the probability that each slot gives to each row's class, float32 [batch, rows, slots]."""
    by_class = tf.transpose(tf.nn.softmax(class_logits), [0, 2, 1])
    return tf.gather(by_class, truth.channel, batch_dims=1)
