# SPDX-License-Identifier: Apache-2.0
"""Finds and writes horizontal runs of pixels; a map has a hundred times fewer of them than pixels."""

import itertools
from typing import NamedTuple

import tensorflow as tf

from panpipe.model import labels as label_codec

# Up to here a float32 product with the inverse of the divisor stays clear of the next integer.
_LARGEST_PRODUCT = 2**21


class Runs(NamedTuple):
    """Horizontal runs of pixels of one instance.

    Attributes:
      first: int64 [r], index of the run's first pixel in the map as a vector.
      length: int64 [r], pixels.
      y: int64 [r], row.
      x: int64 [r], column of the first pixel.
      segment: int32 [r], index of the instance, in order of first appearance.
    """

    first: tf.Tensor
    length: tf.Tensor
    y: tf.Tensor
    x: tf.Tensor
    segment: tf.Tensor


def classes(panoptic: tf.Tensor, labels: label_codec.LabelSpec) -> tf.Tensor:
    """Computes `panoptic // label_divisor`, by a multiplication, a third of the time, where that is exact."""
    divisor = labels.label_divisor
    if (max(labels.num_classes - 1, labels.ignore_label) + 2) * divisor > _LARGEST_PRODUCT:
        return panoptic // divisor
    # Half a step away from the multiples of the divisor, where rounding could go wrong.
    return tf.cast(tf.floor((tf.cast(panoptic, tf.float32) + 0.5) * (1 / divisor)), tf.int32)


def is_any(semantic: tf.Tensor, ids: tuple[int, ...]) -> tf.Tensor:
    """Tells where a map holds one of the class ids; comparing with ranges is faster than a table."""
    result = tf.zeros_like(semantic, tf.bool)
    for first in (i for i in ids if i - 1 not in ids):
        last = next(i for i in itertools.count(first) if i + 1 not in ids)
        result |= (semantic >= first) & (semantic <= last)
    return result


def of_instances(panoptic: tf.Tensor, labels: label_codec.LabelSpec) -> tuple[Runs, tf.Tensor]:
    """Finds the runs of a map's instances, and their panoptic ids, int32 [n], in order of appearance."""
    is_first = tf.pad(panoptic[:, 1:] != panoptic[:, :-1], [[0, 0], [1, 0]], constant_values=True)
    first = tf.where(tf.reshape(is_first, [-1]))[:, 0]
    length = tf.concat([first[1:], [tf.size(panoptic, tf.int64)]], 0) - first
    identity = tf.gather(tf.reshape(panoptic, [-1]), first)
    semantic = identity // labels.label_divisor
    is_kept = (identity != labels.encode(semantic, 0)) & (semantic != labels.ignore_label)
    first, length, identity = (tf.boolean_mask(each, is_kept) for each in (first, length, identity))
    width = tf.shape(panoptic, tf.int64)[1]
    distinct, segment = tf.unique(identity)
    return Runs(first, length, first // width, first % width, segment), distinct


def weights(runs: Runs, is_chosen: tf.Tensor, shape: tf.Tensor, weight: float) -> tf.Tensor:
    """Returns `weight` on the chosen runs and 1 elsewhere: float32 [*shape]."""
    first, length = (tf.boolean_mask(each, is_chosen) for each in (runs.first, runs.length))
    return write(first, length, tf.constant(weight, tf.float32), 1, shape)


def write(
    first: tf.Tensor, length: tf.Tensor, values: tf.Tensor, default: int, shape: tf.Tensor
) -> tf.Tensor:
    """Writes values, one a pixel or one for all, along runs onto a canvas of that shape."""
    pixels = tf.raw_ops.RaggedRange(starts=first, limits=first + length, deltas=tf.constant(1, tf.int64))
    # An op for sparse tensors, but several times as fast as scattering.
    canvas = tf.raw_ops.SparseToDense(
        sparse_indices=pixels.rt_dense_values,
        output_shape=tf.cast(tf.reduce_prod(shape), tf.int64)[None],
        sparse_values=values,
        default_value=tf.constant(default, values.dtype),
        validate_indices=False,
    )
    return tf.reshape(canvas, shape)
