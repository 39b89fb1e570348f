# SPDX-License-Identifier: Apache-2.0
"""Brings a prediction from the padded network input back to the image's own size."""

import tensorflow as tf

from panpipe.model import tensors


def original_size(
    prediction: tensors.Prediction, resized: tf.Tensor, height: int | tf.Tensor, width: int | tf.Tensor
) -> tensors.Prediction:
    """Cuts the padding off and resizes to the original size, taking the nearest pixel (corners aligned).

    Args:
      prediction: maps [batch, padded height, padded width], all images resized alike.
      resized: int32 [2], height and width of the image within the padding, at its top left.
      height: rows of the original image.
      width: columns of the original image.

    Returns:
      Maps [batch, height, width].
    """
    size = tf.stack([height, width])

    def restore(values: tf.Tensor) -> tf.Tensor:
        inside = tf.convert_to_tensor(values)[:, : resized[0], : resized[1], None]
        return tf.cond(
            tf.reduce_all(resized == size),
            lambda: inside,  # resizing would copy pixel by pixel
            lambda: tf.raw_ops.ResizeNearestNeighbor(images=inside, size=size, align_corners=True),
        )[..., 0]

    return tensors.Prediction(*(restore(values) for values in prediction))
