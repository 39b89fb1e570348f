# SPDX-License-Identifier: Apache-2.0
"""The PQ-style loss: every matched slot learns its segment's mask and class, every other slot learns void.

Source: Wang et al., MaX-DeepLab (CVPR 2021), section 3.3, equations 8 to 11.
"""

import tensorflow as tf

from panpipe.model.losses import assignment, hardest

# Share of the matched slots in the loss; the others have what is left of 1.
_MATCHED_SHARE = 0.75
_LEAST_WEIGHT = 1e-5


def class_term(class_logits: tf.Tensor, assigned: assignment.Assignment) -> tf.Tensor:
    """Averages the cross entropy of the slots' classes, weighted by how well the masks fit.

    Args:
      class_logits: float32 [batch, slots, classes + 1].
      assigned: of the batch.

    Returns:
      float32 [batch].
    """
    losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=assigned.channel, logits=class_logits)
    weight = tf.where(
        assigned.is_matched,
        _MATCHED_SHARE * tf.maximum(assigned.dice, _LEAST_WEIGHT),
        (1 - _MATCHED_SHARE) * tf.maximum(assigned.void_share, _LEAST_WEIGHT),
    )
    return hardest.mean_of_hardest(losses * weight, 1.0)


def mask_dice_term(mask_logits: tf.Tensor, assigned: assignment.Assignment) -> tf.Tensor:
    """Sums 1 - dice over the matched slots, weighted by the probability of their class; divides by all slots.

    Args:
      mask_logits: float32 [batch, pixels, slots].
      assigned: of the batch.

    Returns:
      float32 [batch].
    """
    probability = tf.nn.softmax(mask_logits)
    is_member = tf.reduce_sum(assigned.target, -1)
    common = tf.reduce_sum(probability * assigned.target, 1)
    covered = tf.einsum('bpm,bp->bm', probability, is_member)
    area = tf.reduce_sum(assigned.target, 1)
    losses = 1.0 - (2.0 * common + 1.0) / (covered + area + 1.0)
    weight = tf.where(assigned.is_matched, tf.maximum(assigned.certainty, _LEAST_WEIGHT), 0.0)
    return tf.reduce_sum(losses * weight, -1) * (_MATCHED_SHARE / mask_logits.shape[2])
