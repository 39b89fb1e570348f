# SPDX-License-Identifier: Apache-2.0
"""The average over an image's hardest pixels.

Source: Yang et al., DeeperLab: Single-Shot Image Parser (2019), section 3.3, weighted bootstrapping.
"""

import numpy as np
import tensorflow as tf


def mean_of_hardest(losses: tf.Tensor, fraction: float) -> tf.Tensor:
    """Averages the largest losses of each image over those of them that are not zero.

    A weight enlarges a loss but not the denominator, so that pixels of small instances count more. Pixels of
    weight 0 (void, crowd) take part in the number of pixels to keep, as in the published recipe.

    Args:
      losses: weighted, float32 [batch, height, width].
      fraction: share of the pixels to keep, 0 .. 1.

    Returns:
      float32 [batch]; 0 for an image without any loss.
    """
    flat = tf.reshape(losses, [tf.shape(losses)[0], -1])
    if fraction != 1.0:
        # In float32 as the published recipe, which rounds 214.500003 to 214.5, and that to the even 214.
        kept = tf.round(np.float32(fraction) * tf.cast(tf.shape(flat)[1], tf.float32))
        flat, _ = tf.math.top_k(flat, k=tf.cast(kept, tf.int32), sorted=False)
    return tf.math.divide_no_nan(
        tf.reduce_sum(flat, axis=-1), tf.cast(tf.math.count_nonzero(flat, axis=-1), tf.float32)
    )
