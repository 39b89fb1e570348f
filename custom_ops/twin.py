# SPDX-License-Identifier: Apache-2.0
"""The merge in TensorFlow's own operations: what runs where the compiled op is absent.

It equals the op bit for bit. Pixels are first joined into pieces (runs of equal label and instance), then a
weighted algorithm on pieces finds every piece's panoptic id by sorting. That algorithm has static shapes; a
piece may as well be a single pixel, only slower.
"""

from typing import NamedTuple

import tensorflow as tf

from panpipe.custom_ops import rules as merge_rules

# A 64-bit key orders (image, stuff or thing, label or instance): labels lie below 2^31, things from 2^32 up.
_THING = 3 * 2**31
_SPAN = 2**33


class Pieces(NamedTuple):
    """Pixels of one image that share label and instance: int64, int32, int32, int32 [pieces] each."""

    image: tf.Tensor
    label: tf.Tensor
    instance: tf.Tensor
    size: tf.Tensor


def merge(semantic: tf.Tensor, instance: tf.Tensor, rules: merge_rules.Rules) -> tf.Tensor:
    """Merges int32 [batch, height, width] maps of labels and of instances into panoptic ids of that shape.

    Raises:
      tf.errors.InvalidArgumentError: the shapes differ, or a label is negative or so large that its panoptic
        ids exceed int32.
    """
    semantic = _checked(tf.ensure_shape(semantic, [None] * 3), instance, rules)
    shape = tf.shape(semantic)
    flat = (shape[0], shape[1] * shape[2])
    begins = tf.reshape(_run_begins(tf.reshape(semantic, flat), tf.reshape(instance, flat)), [-1])
    start = tf.where(begins)[:, 0]
    pieces = Pieces(
        image=start // tf.maximum(tf.cast(flat[1], tf.int64), 1),
        label=tf.gather(tf.reshape(semantic, [-1]), start),
        instance=tf.gather(tf.reshape(instance, [-1]), start),
        size=tf.cast(
            tf.concat([start[1:], [tf.size(semantic, tf.int64)]], 0)[: tf.size(start)] - start, tf.int32
        ),
    )
    piece = tf.cumsum(tf.cast(begins, tf.int32)) - 1
    return tf.reshape(tf.gather(panoptic_ids(pieces, rules), piece), shape)


def _checked(semantic: tf.Tensor, instance: tf.Tensor, rules: merge_rules.Rules) -> tf.Tensor:
    largest = rules.largest_label
    checks = [
        tf.debugging.assert_equal(
            tf.shape(semantic), tf.shape(instance), 'semantic and instance differ in shape'
        ),
        tf.debugging.assert_non_negative(tf.reduce_min(semantic), 'a semantic label is negative'),
        tf.debugging.assert_less_equal(
            tf.reduce_max(semantic), largest, f'a semantic label exceeds {largest}, int32 / label_divisor'
        ),
    ]
    with tf.control_dependencies([check for check in checks if check is not None]):
        return tf.identity(semantic)


def _run_begins(semantic: tf.Tensor, instance: tf.Tensor) -> tf.Tensor:
    """Marks the pixels of int32 [batch, pixels] maps that differ from the one before; bool."""
    differs = (semantic[:, 1:] != semantic[:, :-1]) | (instance[:, 1:] != instance[:, :-1])
    return tf.concat([tf.ones_like(semantic[:, :1], tf.bool), differs], axis=1)


def panoptic_ids(pieces: Pieces, rules: merge_rules.Rules) -> tf.Tensor:
    """Finds the panoptic ids of pieces, int32 [pieces].

    A group is an instance, or a stuff class, of one image. Ranks put groups in the order of their keys.
    """
    count = tf.size(pieces.label)
    label = tf.cast(pieces.label, tf.int64)
    is_thing = _is_thing(pieces.label, rules.thing_ids)
    key = tf.where(is_thing, _THING + tf.cast(pieces.instance, tf.int64), label)
    group = _rank(pieces.image * _SPAN + key)
    pair = _rank(tf.cast(group, tf.int64) * 2**31 + label)

    votes = tf.gather(tf.math.unsorted_segment_sum(pieces.size, pair, count), pair)
    most = tf.gather(tf.math.unsorted_segment_max(votes, group, count), group)
    candidate = tf.where(votes == most, pieces.label, merge_rules.INT32_MAX)
    winner = tf.gather(tf.math.unsorted_segment_min(candidate, group, count), group)
    area = tf.gather(tf.math.unsorted_segment_sum(pieces.size, group, count), group)

    number = 1 + tf.gather(_numbers(pieces.image * _SPAN + tf.cast(winner, tf.int64), is_thing, group), group)
    thing = tf.where(
        number < rules.label_divisor,
        winner * rules.label_divisor + number,
        rules.void_label * rules.label_divisor,
    )
    is_kept = area > rules.stuff_area_limit
    stuff = tf.where(is_kept, pieces.label, rules.void_label) * rules.label_divisor
    return tf.where(is_thing, thing, stuff)


def _numbers(class_key: tf.Tensor, is_thing: tf.Tensor, group: tf.Tensor) -> tf.Tensor:
    """Counts, for each thing group, the groups of its image and class that come before it; int32 [pieces]."""
    count = tf.size(group)
    own = tf.math.unsorted_segment_max(tf.where(is_thing, class_key, -1), group, count)
    order, run = _sorted_runs(own)
    position = tf.range(count)
    first = tf.math.unsorted_segment_min(position, run, count)
    return _scatter(order, position - tf.gather(first, run))


def _is_thing(label: tf.Tensor, thing_ids: tuple[int, ...]) -> tf.Tensor:
    known = tf.constant((-1, *thing_ids), tf.int32)
    return tf.gather(known, tf.searchsorted(known, label, side='right') - 1) == label


def _rank(key: tf.Tensor) -> tf.Tensor:
    """Replaces each key by the number of distinct smaller keys; int32."""
    return _scatter(*_sorted_runs(key))


def _sorted_runs(key: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns the stable ascending order of the keys and, in that order, the index of each distinct key."""
    order = tf.argsort(key, stable=True)
    ascending = tf.gather(key, order)
    is_new = tf.cast(ascending[1:] != ascending[:-1], tf.int32)
    return order, tf.cumsum(tf.concat([tf.zeros_like(order[:1]), is_new], 0))


def _scatter(index: tf.Tensor, value: tf.Tensor) -> tf.Tensor:
    return tf.scatter_nd(index[:, None], value, tf.shape(value))
