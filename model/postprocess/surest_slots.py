# SPDX-License-Identifier: Apache-2.0
"""The slots of an image that are surest of class and mask, with their masks, to look at."""

from typing import NamedTuple

import tensorflow as tf

from panpipe.model.postprocess import slots as slots_lib

# A slot has a pixel where its probability is larger than that of all others together.
_THRESHOLD = 0.5


class Surest(NamedTuple):
    """Holds a few slots of each image, the surest first.

    Attributes:
      slot: int32 [batch, count], indices from 0.
      sureness: float32 [batch, count], 0 .. 1: confidence in the class times confidence in the mask.
      mask: float32 [batch, h, w, count], the probability that a pixel belongs to the slot.
    """

    slot: tf.Tensor
    sureness: tf.Tensor
    mask: tf.Tensor


def find(slots: slots_lib.Slots, mask_logits: tf.Tensor, count: int) -> Surest:
    """Finds the surest slots.

    Args:
      slots: of the images.
      mask_logits: float32 [batch, h, w, slots].
      count: of slots to find; all of them where there are fewer.
    """
    confidence = slots_lib.mask_confidences(mask_logits, _THRESHOLD)
    sureness, chosen = tf.math.top_k(slots.confidence * confidence, min(count, mask_logits.shape[-1]))
    masks = tf.gather(mask_logits, chosen, axis=3, batch_dims=1)
    whole = tf.reduce_logsumexp(mask_logits, axis=-1, keepdims=True)
    return Surest(chosen, sureness, tf.exp(masks - whole))
