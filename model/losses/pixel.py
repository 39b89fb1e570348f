# SPDX-License-Identifier: Apache-2.0
"""Losses of single pixels. Every function returns float32 [batch, height, width]."""

import tensorflow as tf


def softmax_cross_entropy(logits: tf.Tensor, semantic: tf.Tensor) -> tf.Tensor:
    """Computes −log softmax at the true class; 0 where the label is no class (void).

    Args:
      logits: float32 [batch, height, width, num_classes].
      semantic: int32 [batch, height, width].
    """
    is_class = (semantic >= 0) & (semantic < logits.shape[-1])
    # A label outside the classes makes the fused kernel fail on a CPU and return NaN on a GPU.
    safe = tf.where(is_class, semantic, 0)
    losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=safe, logits=logits)
    return tf.where(is_class, losses, 0.0)


def mean_squared_error(prediction: tf.Tensor, target: tf.Tensor) -> tf.Tensor:
    """Averages (target − prediction)² over the last axis of float32 [batch, height, width, channels]."""
    return tf.reduce_mean(tf.math.squared_difference(target, prediction), axis=-1)


def mean_absolute_error(prediction: tf.Tensor, target: tf.Tensor) -> tf.Tensor:
    """Averages |target − prediction| over the last axis of float32 [batch, height, width, channels]."""
    return tf.reduce_mean(tf.abs(target - prediction), axis=-1)
