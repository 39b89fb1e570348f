# SPDX-License-Identifier: Apache-2.0
"""Instance discrimination: features of one segment's pixels become alike, those of two segments unlike.

Source: Wang et al., MaX-DeepLab (CVPR 2021), section 3.4; Yu et al., k-means Mask Transformer (ECCV 2022),
appendix, for pixels in pairs.
"""

from collections.abc import Callable

import tensorflow as tf

from panpipe.model.losses import hardest, truths

# (logits float32 [batch, pixels], number, key int64 [batch, 2]) → pixels int32 [batch, number]
Draw = Callable[[tf.Tensor, int, tf.Tensor], tf.Tensor]

_TEMPERATURE = 0.3
_NEVER = -99999.0


def of_pairs(feature: tf.Tensor, truth: truths.Truths, chosen: tf.Tensor) -> tf.Tensor:
    """Contrasts chosen pixels with each other: those of one segment attract each other.

    Args:
      feature: float32 [batch, pixels, channels] of unit length.
      truth: of the batch.
      chosen: int32 [batch, number], pixels.

    Returns:
      float32 [batch].
    """
    feature = tf.gather(feature, chosen, batch_dims=1)
    masks = tf.one_hot(tf.gather(truth.row, chosen, batch_dims=1), truth.area.shape[1])
    is_same = tf.matmul(masks, masks, transpose_b=True)
    share = is_same / tf.maximum(tf.reduce_sum(is_same, -1, keepdims=True), 1.0)
    logits = tf.matmul(feature, feature, transpose_b=True) / _TEMPERATURE
    losses = tf.nn.softmax_cross_entropy_with_logits(labels=share, logits=logits)
    return hardest.mean_of_hardest(losses, 1.0)


def of_means(feature: tf.Tensor, truth: truths.Truths, num_things: int) -> tf.Tensor:
    """Contrasts the pixels of things with the mean feature of each segment.

    Args:
      feature: float32 [batch, pixels, channels] of unit length.
      truth: of the batch.
      num_things: rows of `truth` that are things.

    Returns:
      float32 [batch].
    """
    sums = tf.einsum('bpr,bpd->brd', truth.masks, feature)
    means = tf.math.l2_normalize(sums / tf.maximum(truth.area, 1.0)[..., None], -1)
    logits = tf.matmul(feature, means, transpose_b=True) / _TEMPERATURE
    logits = tf.where(truth.area[:, None, :] > 0, logits, _NEVER)
    losses = tf.nn.softmax_cross_entropy_with_logits(labels=truth.masks, logits=logits)
    is_thing = (truth.row >= 0) & (truth.row < num_things)
    return hardest.mean_of_hardest(losses * tf.cast(is_thing, tf.float32), 1.0)


def preference(truth: truths.Truths, temperature: float) -> tf.Tensor:
    """Returns the logits that pixels are drawn by: the smaller a segment, the likelier are its pixels.

    Args:
      truth: of the batch.
      temperature: 0: all pixels are equally likely; 1: all segments are.

    Returns:
      float32 [batch, pixels].
    """
    share = float(truth.row.shape[1]) / tf.maximum(truth.area_of_pixel, 1.0)
    return temperature * tf.math.log(share) + tf.where(truth.is_valid, 0.0, _NEVER)


def draw(logits: tf.Tensor, number: int, key: tf.Tensor) -> tf.Tensor:
    """Draws pixels of each image without replacement: int32 [batch, number].

    Args:
      logits: float32 [batch, pixels]; probabilities are proportional to their exponentials.
      number: of pixels to draw.
      key: int32 [batch, 2], decides for each image.

    Source: Kool et al., Stochastic Beams and Where to Find Them (ICML 2019), section 2.3.
    """

    def noise(one: tf.Tensor) -> tf.Tensor:
        uniform = tf.random.stateless_uniform(logits.shape[1:], one, minval=1e-20)
        return -tf.math.log(-tf.math.log(uniform))

    gumbel = tf.map_fn(noise, key, fn_output_signature=tf.float32)
    return tf.math.top_k(logits + gumbel, number).indices
