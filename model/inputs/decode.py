# SPDX-License-Identifier: Apache-2.0
"""Decodes records inside a TensorFlow graph; `records` does the same without TensorFlow."""

import tensorflow as tf

from panpipe.model import tensors
from panpipe.model.inputs import records


def decode(serialized: tf.Tensor, *, with_labels: bool) -> tensors.Sample:
    """Decodes one serialised tf.train.Example.

    Args:
      serialized: string scalar.
      with_labels: whether to decode the annotation; without, `panoptic` is None.

    Returns:
      Image id (string scalar), image uint8 [height, width, 3], panoptic int32 [height, width].

    Raises:
      tf.errors.InvalidArgumentError: a feature is absent, the image is damaged, or the label is stored in an
        unknown way or does not fit the image.
    """
    string = tf.io.FixedLenFeature([], tf.string)
    features = {records.IMAGE_ENCODED: string, records.IMAGE_FILENAME: string}
    if with_labels:
        features[records.LABEL_ENCODED] = string
        # DeepLab2's reader never asks for the format; records without it are raw.
        features[records.LABEL_FORMAT] = tf.io.FixedLenFeature([], tf.string, 'raw')
    example = tf.io.parse_single_example(serialized, features)
    image_id = example[records.IMAGE_FILENAME]
    image = tf.io.decode_image(example[records.IMAGE_ENCODED], channels=3, expand_animations=False)
    image = tf.ensure_shape(image, [None, None, 3])
    if not with_labels:
        return tensors.Sample(image_id, image, None)
    label = _label(example[records.LABEL_ENCODED], example[records.LABEL_FORMAT], image_id)
    size = tf.shape(image)[:2]
    fits = tf.debugging.Assert(
        tf.equal(tf.size(label), tf.reduce_prod(size)),
        ['the label of', image_id, 'has', tf.size(label), 'pixels, its image', size],
    )
    with tf.control_dependencies([fits] if fits is not None else []):
        return tensors.Sample(image_id, image, tf.reshape(label, size))


def _label(encoded: tf.Tensor, stored_as: tf.Tensor, image_id: tf.Tensor) -> tf.Tensor:
    """Decodes label bytes to int32 [height * width]."""
    known = tf.debugging.Assert(
        tf.reduce_any(tf.equal(stored_as, records.LABEL_FORMATS)),
        ['the label of', image_id, 'is stored as', stored_as, 'which holds no instances'],
    )
    with tf.control_dependencies([known] if known is not None else []):
        encoded = tf.cond(
            tf.equal(stored_as, 'zlib'),
            lambda: tf.io.decode_compressed(encoded, 'ZLIB'),
            lambda: tf.identity(encoded),
        )
    return tf.io.decode_raw(encoded, tf.int32, little_endian=True)
