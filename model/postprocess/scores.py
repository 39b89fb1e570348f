# SPDX-License-Identifier: Apache-2.0
"""How sure the network is of each instance: what average precision ranks them by."""

from typing import NamedTuple

import tensorflow as tf

from panpipe.custom_ops import library
from panpipe.model import labels as label_codec
from panpipe.model import tensors
from panpipe.model.postprocess import slots


def instances(
    prediction: tensors.Prediction,
    probability: tf.Tensor,
    labels: label_codec.LabelSpec,
    *,
    use_op: bool = True,
) -> tuple[tf.Tensor, tf.Tensor]:
    """Scores the things of one image: mean probability of the class times mean score of the center.

    Means are over the pixels of an instance. Probabilities are interpolated between the pixels of the
    network's output, corners aligned; of thing pixels alone, which are few. (The softmax of interpolated
    logits, for all classes and pixels, differs from that only on the borders of classes.)

    Args:
      prediction: of a batch of 1.
      probability: float32 [1, h, w, num_classes], at any resolution, of the same view as the prediction.
      labels: the classes and the panoptic codec.
      use_op: uses the compiled op if it was built; the result is the same, bit for bit.

    Returns:
      Panoptic ids int32 [instances], ascending, and scores float32 [instances], at most 1.

    Source: DeepLab2's average precision metric; the center's score is Cheng et al., Panoptic-DeepLab
      (CVPR 2020), section 3.2, "Instance segmentation".
    """
    maps = tensors.Prediction(*(part[0] for part in prediction))
    things, divisor = labels.thing_table(), labels.label_divisor
    ops = library.load() if use_op else None
    if ops is None:
        sums = _sums(maps, probability[0], labels)
    else:
        sums = _Sums(*ops.panpipe_instance_sums(*maps, probability[0], things, label_divisor=divisor))
    # All pixels of a center have one panoptic id; a number that has no pixel has a negative one.
    ids, pixels = sums.ids, tf.maximum(sums.pixels, 1.0)
    score = tf.minimum((sums.score / pixels) * (sums.probability / pixels), 1.0)
    is_thing = (ids >= 0) & tf.gather(things, tf.maximum(ids, 0) // divisor)
    ids, score = tf.boolean_mask(ids, is_thing), tf.boolean_mask(score, is_thing)
    order = tf.argsort(ids)
    return tf.gather(ids, order), tf.gather(score, order)


def of_slots(
    prediction: tensors.Prediction, found: slots.Slots, labels: label_codec.LabelSpec
) -> tuple[tf.Tensor, tf.Tensor]:
    """Scores the things of one image of a mask transformer: slot's confidence times mean score of its pixels.

    Args:
      prediction: of a batch of 1, at the size at which things are judged.
      found: the slots that it consists of.
      labels: the classes and the panoptic codec.

    Returns:
      As `instances`.

    Source: Wang et al., MaX-DeepLab (CVPR 2021); DeepLab2's average precision metric.
    """
    panoptic, score = tf.reshape(prediction.panoptic, [-1]), tf.reshape(prediction.score, [-1])
    semantic, number = labels.decode(panoptic)
    number = tf.where(tf.gather(labels.thing_table(), semantic), number, 0)
    count = found.number.shape[1] + 1
    ids = tf.math.unsorted_segment_max(panoptic, number, count)[1:]
    pixels = tf.math.unsorted_segment_sum(tf.ones_like(score, tf.float64), number, count)[1:]
    total = tf.math.unsorted_segment_sum(tf.cast(score, tf.float64), number, count)[1:]
    confidence = tf.gather(found.confidence[0], tf.argsort(found.number[0]))
    sure = confidence * tf.cast(total / tf.maximum(pixels, 1.0), tf.float32)
    ids, sure = tf.boolean_mask(ids, pixels > 0), tf.boolean_mask(sure, pixels > 0)
    order = tf.argsort(ids)
    return tf.gather(ids, order), tf.gather(sure, order)


class _Sums(NamedTuple):
    """Sums over pixels by number of their center, float32 [numbers]; of ids, int32, the largest."""

    ids: tf.Tensor
    pixels: tf.Tensor
    probability: tf.Tensor
    score: tf.Tensor


def _sums(prediction: tensors.Prediction, probability: tf.Tensor, labels: label_codec.LabelSpec) -> _Sums:
    """Adds up in TensorFlow's own operations, maps [height, width]."""
    size = tf.shape(prediction.panoptic)
    panoptic, semantic, instance, score = (tf.reshape(part, [-1]) for part in prediction)
    pixels = tf.cast(tf.where(_is_of_a_thing(semantic, instance, labels))[:, 0], tf.int32)
    ids, number = tf.gather(panoptic, pixels), tf.gather(instance, pixels)
    # Void, which a group beyond the last number of its class becomes, is left out later.
    channel = tf.minimum(ids // labels.label_divisor, tf.shape(probability)[-1] - 1)
    count = tf.maximum(tf.reduce_max(instance), 0) + 1
    return _Sums(
        tf.math.unsorted_segment_max(ids, number, count),
        *(
            tf.math.unsorted_segment_sum(values, number, count)
            for values in (
                tf.ones_like(number, tf.float32),
                _interpolated(probability, pixels, size, channel),
                tf.gather(score, pixels),
            )
        ),
    )


def _is_of_a_thing(semantic: tf.Tensor, instance: tf.Tensor, labels: label_codec.LabelSpec) -> tf.Tensor:
    """Tells which pixels belong to a thing, all three [pixels].

    Those have the number of their center. Only without any center they must be looked for among the classes;
    a pixel outvoted by its group keeps its own class in `semantic`, which is a thing's, too.
    """
    return tf.cond(
        tf.reduce_any(instance > 0),
        lambda: instance > 0,
        lambda: tf.gather(labels.thing_table(), semantic),
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
