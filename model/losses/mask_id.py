# SPDX-License-Identifier: Apache-2.0
"""The mask-id cross entropy: every pixel learns which slot it belongs to.

Source: Wang et al., MaX-DeepLab (CVPR 2021), section 3.4, "mask-ID cross-entropy".
"""

import tensorflow as tf

from panpipe.model.losses import assignment, hardest


def cross_entropy(mask_logits: tf.Tensor, assigned: assignment.Assignment, fraction: float) -> tf.Tensor:
    """Averages −log softmax over slots at the true slot over an image's pixels.

    Args:
      mask_logits: float32 [batch, pixels, slots].
      assigned: of the batch.
      fraction: share of the pixels to keep, the hardest ones.

    Returns:
      float32 [batch].
    """
    losses = tf.nn.softmax_cross_entropy_with_logits(labels=assigned.target, logits=mask_logits)
    return hardest.mean_of_hardest(losses * assigned.is_valid, fraction)
