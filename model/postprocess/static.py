# SPDX-License-Identifier: Apache-2.0
"""Post-processing in which every shape is known beforehand, so that XLA can compile it.

`upsampled` lists as many centers as there are and compares pixels with those. A compiler wants a fixed
number: here it is `keep_k_centers`, and no pixel is near a place that is not taken.
"""

import tensorflow as tf

from panpipe.model import labels as label_codec
from panpipe.model import tensors
from panpipe.model.postprocess import centers
from panpipe.model.postprocess import numbers as numbers_lib


def predict(
    heads: tensors.Heads, labels: label_codec.LabelSpec, numbers: numbers_lib.Numbers
) -> tensors.Prediction:
    """Predicts what `upsampled.predict` predicts; arguments and result are as there.

    XLA may contract a product and a sum into one rounding: a pixel whose nearest two centers are equally far,
    but for the last bit, may then go to the other one.

    Raises:
      ValueError: keep_k_centers is not positive, so that the number of centers has no bound.

    Source: Cheng et al., Panoptic-DeepLab (CVPR 2020), section 3.2, "Efficient merging".
    """
    keep_k = numbers.keep_k_centers
    if keep_k < 1:
        raise ValueError(f'keep_k_centers is {keep_k}; give the largest number of centers, at least 1')
    semantic = tf.argmax(heads.semantic_logits, axis=-1, output_type=tf.int32)
    is_thing = tf.gather(tf.constant(labels.thing_table()), semantic)
    num_classes = heads.semantic_logits.shape[-1]
    if heads.center_heatmap is None or heads.offset is None:
        instance, score, groups, num_groups = tf.zeros_like(semantic), None, semantic, num_classes
    else:
        peaks = centers.peaks(
            heads.center_heatmap[..., 0], threshold=numbers.center_threshold, nms_kernel=numbers.nms_kernel
        )
        instance, score = tf.map_fn(
            lambda image: _group(image[0], image[1], image[2], keep_k),
            (peaks, heads.offset, is_thing),
            fn_output_signature=(tf.int32, tf.float32),
        )
        groups, num_groups = instance, keep_k + 1
    votes = (num_groups, num_classes)
    merged = tf.map_fn(
        lambda image: _merge(image[0], image[1], image[2], votes, labels, numbers.stuff_area_limit),
        (semantic, groups, is_thing),
        fn_output_signature=tf.int32,
    )
    if score is None:
        score = tf.zeros_like(semantic, tf.float32)
    return tensors.Prediction(panoptic=merged, semantic=semantic, instance=instance, score=score)


def positions(peak_map: tf.Tensor, *, keep_k: int) -> tuple[tf.Tensor, tf.Tensor]:
    """Lists the centers of `centers.positions` in as many places as there may be.

    Args:
      peak_map: float32 [height, width], from `centers.peaks`.
      keep_k: number of places, and of centers from which the weaker ones are cut.

    Returns:
      int32 [keep_k, 2], (y, x), and float32 [keep_k], their values in `peak_map`; 0 in places not taken.
    """
    width = peak_map.shape[1]
    flat = tf.reshape(peak_map, [-1])
    ranked = tf.math.top_k(tf.concat([flat, tf.zeros(keep_k + 1)], 0), keep_k + 1).values
    cut = tf.where(ranked[keep_k] > 0, ranked[keep_k - 1], 0.0)
    stays = (flat > 0) & (flat > cut)
    # The first of them in row-major order are the largest when counted from the end.
    from_end = tf.range(flat.shape[0], 0, -1)
    room = tf.zeros(keep_k, tf.int32)
    found = tf.math.top_k(tf.concat([tf.where(stays, from_end, 0), room], 0), keep_k).values
    index = tf.where(found > 0, flat.shape[0] - found, 0)
    values = tf.where(found > 0, tf.gather(flat, index), 0.0)
    return tf.stack([index // width, index % width], axis=-1), values


def _group(
    peak_map: tf.Tensor, offset: tf.Tensor, is_thing: tf.Tensor, keep_k: int
) -> tuple[tf.Tensor, tf.Tensor]:
    """Gives thing pixels the number (from 1) and the value of their nearest center, 0 where there is none."""
    place, value = positions(peak_map, keep_k=keep_k)
    place = tf.cast(place, tf.float32)
    height, width = peak_map.shape
    y = tf.range(height, dtype=tf.float32)[:, None] + offset[..., 0]
    x = tf.range(width, dtype=tf.float32)[None, :] + offset[..., 1]

    def compare(index: tf.Tensor, best: tf.Tensor, nearest: tf.Tensor) -> tuple[tf.Tensor, ...]:
        distance = tf.square(y - place[index, 0]) + tf.square(x - place[index, 1])
        is_nearer = (distance < best) & (value[index] > 0)
        return index + 1, tf.where(is_nearer, distance, best), tf.where(is_nearer, index + 1, nearest)

    start = (0, tf.fill((height, width), float('inf')), tf.zeros((height, width), tf.int32))
    *_, nearest = tf.while_loop(lambda index, *_: index < keep_k, compare, start)
    instance = tf.where(is_thing, nearest, 0)
    return instance, tf.gather(tf.concat([[0.0], value], 0), instance)


def _merge(
    semantic: tf.Tensor,
    groups: tf.Tensor,
    is_thing: tf.Tensor,
    size: tuple[int, int],
    labels: label_codec.LabelSpec,
    stuff_area_limit: int,
) -> tf.Tensor:
    """Merges one image by the rules of `custom_ops.merge`; `size` is the number of groups and of classes."""
    num_groups, num_classes = size
    divisor, void = labels.label_divisor, labels.ignore_label * labels.label_divisor
    ballot = tf.reshape(groups * num_classes + semantic, [-1])
    counts = tf.reshape(tf.cast(is_thing, tf.int32), [-1])
    votes = tf.reshape(tf.math.unsorted_segment_sum(counts, ballot, num_groups * num_classes), size)
    # The first of equal maxima is the smaller class.
    winner = tf.argmax(votes, axis=1, output_type=tf.int32)
    exists = tf.cast(tf.reduce_any(votes > 0, axis=1), tf.int32)
    of_class = tf.one_hot(winner, num_classes, dtype=tf.int32) * exists[:, None]
    number = tf.gather(tf.cumsum(of_class), winner, axis=1, batch_dims=1)
    thing_ids = tf.where(number < divisor, winner * divisor + number, void)

    areas = tf.math.unsorted_segment_sum(1 - counts, tf.reshape(semantic, [-1]), num_classes)
    is_small = (areas <= stuff_area_limit) & (stuff_area_limit > 0)
    stuff_ids = tf.where(is_small, void, tf.range(num_classes) * divisor)
    return tf.where(is_thing, tf.gather(thing_ids, groups), tf.gather(stuff_ids, semantic))
