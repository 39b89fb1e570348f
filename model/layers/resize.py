# SPDX-License-Identifier: Apache-2.0
"""Bilinear resizing of feature maps."""

import tensorflow as tf


def bilinear(x: tf.Tensor, height: int | tf.Tensor, width: int | tf.Tensor) -> tf.Tensor:
    """Resizes [batch, h, w, channels] to [batch, height, width, channels], same type, corners aligned."""
    # The op answers in float32 whatever it is given.
    return tf.cast(tf.raw_ops.ResizeBilinear(images=x, size=(height, width), align_corners=True), x.dtype)


def like(x: tf.Tensor, reference: tf.Tensor) -> tf.Tensor:
    """Resizes as `bilinear`, to the height and width of `reference`."""
    height, width = reference.shape[1], reference.shape[2]
    if height is None or width is None:
        height, width = tf.unstack(tf.shape(reference)[1:3])
    return bilinear(x, height, width)
