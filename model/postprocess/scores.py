# SPDX-License-Identifier: Apache-2.0
"""How sure the network is of each instance: what average precision ranks them by."""

import tensorflow as tf

from panpipe.model import labels as label_codec
from panpipe.model import tensors


def instances(
    prediction: tensors.Prediction, probability: tf.Tensor, labels: label_codec.LabelSpec
) -> tuple[tf.Tensor, tf.Tensor]:
    """Scores the things of one image: mean probability of the class times mean score of the centre.

    Means are over the pixels of an instance. Probabilities are interpolated between the pixels of the
    network's output, corners aligned; of thing pixels alone, which are few. (The softmax of interpolated
    logits, for all classes and pixels, differs from that only on the borders of classes.)

    Args:
      prediction: of a batch of 1.
      probability: float32 [1, h, w, num_classes], at any resolution, of the same view as the prediction.
      labels: the classes and the panoptic codec.

    Returns:
      Panoptic ids int32 [instances], ascending, and scores float32 [instances], at most 1.

    Source: DeepLab2's average precision metric; the centre's score is Cheng et al., Panoptic-DeepLab
      (CVPR 2020), section 3.2, "Instance segmentation".
    """
    panoptic = prediction.panoptic[0]
    # A pixel outvoted by its group keeps its own class in `semantic`; that decides only where to look.
    pixels = tf.where(tf.gather(labels.thing_table(), prediction.semantic[0]))
    ids = tf.gather_nd(panoptic, pixels)
    is_instance = tf.gather(labels.thing_table(), ids // labels.label_divisor)
    pixels, ids = tf.boolean_mask(pixels, is_instance), tf.boolean_mask(ids, is_instance)
    sure = _interpolated(probability[0], pixels, tf.shape(panoptic), ids // labels.label_divisor)
    found, segment = tf.unique(ids)
    number = tf.size(found)
    center = tf.math.unsorted_segment_mean(tf.gather_nd(prediction.score[0], pixels), segment, number)
    score = tf.minimum(center * tf.math.unsorted_segment_mean(sure, segment, number), 1.0)
    order = tf.argsort(found)
    return tf.gather(found, order), tf.gather(score, order)


def _interpolated(maps: tf.Tensor, pixels: tf.Tensor, size: tf.Tensor, channels: tf.Tensor) -> tf.Tensor:
    """Reads one channel of maps [h, w, channels] at each of some pixels [n, 2] of an image of `size`."""
    last = tf.shape(maps)[:2] - 1
    scale = tf.cast(last, tf.float32) / tf.cast(tf.maximum(size - 1, 1), tf.float32)
    place = tf.cast(pixels, tf.float32) * scale
    low = tf.minimum(tf.cast(place, tf.int32), last)
    high = tf.minimum(low + 1, last)
    part = place - tf.cast(low, tf.float32)

    def read(y: tf.Tensor, x: tf.Tensor) -> tf.Tensor:
        return tf.gather_nd(maps, tf.stack([y[:, 0], x[:, 1], channels], axis=1))

    upper = read(low, low) + part[:, 1] * (read(low, high) - read(low, low))
    lower = read(high, low) + part[:, 1] * (read(high, high) - read(high, low))
    return upper + part[:, 0] * (lower - upper)
