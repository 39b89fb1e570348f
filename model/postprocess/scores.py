# SPDX-License-Identifier: Apache-2.0
"""How sure the network is of each instance: what average precision ranks them by."""

import tensorflow as tf

from panpipe.model import labels as label_codec
from panpipe.model import tensors


def instances(
    prediction: tensors.Prediction, probability: tf.Tensor, labels: label_codec.LabelSpec
) -> tuple[tf.Tensor, tf.Tensor]:
    """Scores the things of one image: mean probability of the class times mean score of the center.

    Means are over the pixels of an instance. Probabilities are interpolated between the pixels of the
    network's output, corners aligned; of thing pixels alone, which are few. (The softmax of interpolated
    logits, for all classes and pixels, differs from that only on the borders of classes.)

    Args:
      prediction: of a batch of 1.
      probability: float32 [1, h, w, num_classes], at any resolution, of the same view as the prediction.
      labels: the classes and the panoptic codec.

    Returns:
      Panoptic ids int32 [instances], ascending, and scores float32 [instances], at most 1.

    Source: DeepLab2's average precision metric; the center's score is Cheng et al., Panoptic-DeepLab
      (CVPR 2020), section 3.2, "Instance segmentation".
    """
    panoptic, instance, score = (
        tf.reshape(part[0], [-1]) for part in (prediction.panoptic, prediction.instance, prediction.score)
    )
    pixels = tf.cast(tf.where(_is_of_a_thing(prediction, labels))[:, 0], tf.int32)
    ids, segment = tf.gather(panoptic, pixels), tf.gather(instance, pixels)
    number = tf.reduce_max(instance) + 1
    sure = _interpolated(
        probability[0], pixels, tf.shape(prediction.panoptic)[1:], ids // labels.label_divisor
    )
    center = tf.math.unsorted_segment_mean(tf.gather(score, pixels), segment, number)
    score = tf.minimum(center * tf.math.unsorted_segment_mean(sure, segment, number), 1.0)
    # All pixels of a center have one panoptic id; a number that has no pixel gets a negative one.
    ids = tf.math.unsorted_segment_max(ids, segment, number)
    is_thing = (ids >= 0) & tf.gather(labels.thing_table(), tf.maximum(ids, 0) // labels.label_divisor)
    ids, score = tf.boolean_mask(ids, is_thing), tf.boolean_mask(score, is_thing)
    order = tf.argsort(ids)
    return tf.gather(ids, order), tf.gather(score, order)


def _is_of_a_thing(prediction: tensors.Prediction, labels: label_codec.LabelSpec) -> tf.Tensor:
    """Tells which pixels belong to a thing, bool [height * width].

    Those have the number of their center. Only without any center they must be looked for among the classes;
    a pixel outvoted by its group keeps its own class in `semantic`, which is a thing's, too.
    """
    instance = tf.reshape(prediction.instance[0], [-1])
    return tf.cond(
        tf.reduce_any(instance > 0),
        lambda: instance > 0,
        lambda: tf.gather(labels.thing_table(), tf.reshape(prediction.semantic[0], [-1])),
    )


def _interpolated(maps: tf.Tensor, pixels: tf.Tensor, size: tf.Tensor, channels: tf.Tensor) -> tf.Tensor:
    """Reads one channel of maps [h, w, channels] at some pixels of an image of `size`, numbered by row."""
    flat = tf.reshape(maps, [-1])
    height, width, depth = tf.unstack(tf.shape(maps))
    y = pixels // size[1]
    x = pixels - y * size[1]
    top, bottom, down = _between(y, size[0], height)
    left, right, across = _between(x, size[1], width)

    def along(row: tf.Tensor) -> tf.Tensor:
        first = tf.gather(flat, (row * width + left) * depth + channels)
        return first + across * (tf.gather(flat, (row * width + right) * depth + channels) - first)

    upper = along(top)
    return upper + down * (along(bottom) - upper)


def _between(
    position: tf.Tensor, size: tf.Tensor, count: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Returns the two of `count` samples beside each position of an axis, and the way from the first on."""
    scale = tf.cast(count - 1, tf.float32) / tf.cast(tf.maximum(size - 1, 1), tf.float32)
    place = tf.cast(position, tf.float32) * scale
    low = tf.minimum(tf.cast(place, tf.int32), count - 1)
    return low, tf.minimum(low + 1, count - 1), place - tf.cast(low, tf.float32)
