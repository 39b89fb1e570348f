# SPDX-License-Identifier: Apache-2.0
"""Computes the training targets of a panoptic map.

Source: Cheng et al., Panoptic-DeepLab (CVPR 2020), section 3.2; Yang et al., DeeperLab (2019), section 3.2,
for the weights of small instances.
"""

import types
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from panpipe.custom_ops import library
from panpipe.model import labels as label_codec
from panpipe.model import tensors
from panpipe.model.inputs import runs as runs_lib

# A run's offsets are counted in 64 bits: x in the upper half, where it falls by 1 a pixel, y in the lower.
_UPPER = 2**32


class _Small(NamedTuple):
    """Sets which instances are small, in pixels, and the loss weight of their pixels."""

    threshold: int
    weight: float


def targets(
    panoptic: tf.Tensor,
    labels: label_codec.LabelSpec,
    *,
    sigma: float = 8.0,
    small_instance_threshold: int = 0,
    small_instance_weight: float = 1.0,
) -> tensors.Targets:
    """Computes the targets of one image, or of a batch, at the resolution of the panoptic map.

    A thing of instance 0 is a crowd: it keeps its class in `semantic`, and has no weight elsewhere.
    The compiled op does it, if it was built, or TensorFlow's operations; the result is the same, bit for bit.

    Args:
      panoptic: int32 [height, width] or [batch, height, width], `semantic * label_divisor + instance`.
      labels: what the integers mean.
      sigma: standard deviation of the Gaussian at a center, in pixels.
      small_instance_threshold: an instance of fewer visible pixels is small.
      small_instance_weight: weight of its pixels in `semantic_weight`; all others have 1.

    Raises:
      ValueError: sigma is not positive, or panoptic has another rank.
    """
    if not sigma > 0:
        raise ValueError(f'sigma is {sigma}; it must be positive')
    panoptic = tf.convert_to_tensor(panoptic, tf.int32)
    if panoptic.shape.rank not in (2, 3):
        raise ValueError(f'panoptic {panoptic.shape} must be [height, width] or [batch, height, width]')
    small = _Small(small_instance_threshold, small_instance_weight)
    is_batch = panoptic.shape.rank == 3
    ops = library.load()
    if ops is not None:
        maps = _compute(ops, panoptic if is_batch else panoptic[None], labels, sigma, small)
        return maps if is_batch else tensors.Targets(*(tf.squeeze(each, 0) for each in maps))
    if not is_batch:
        return _of_image(panoptic, labels, sigma, small)
    plane = tf.TensorSpec(panoptic.shape[1:], tf.float32)
    specs = tensors.Targets(*6 * [plane])._replace(
        semantic=tf.TensorSpec(plane.shape, tf.int32), offset=tf.TensorSpec([*plane.shape, 2], tf.float32)
    )
    return tf.map_fn(
        lambda image: _of_image(image, labels, sigma, small), panoptic, fn_output_signature=specs
    )


def _compute(
    ops: types.ModuleType,
    panoptic: tf.Tensor,
    labels: label_codec.LabelSpec,
    sigma: float,
    small: _Small,
) -> tensors.Targets:
    """Computes the targets of a batch by the compiled op."""
    window, margin = _gaussian(sigma)
    maps = ops.panpipe_targets(
        panoptic,
        window,
        margin=margin,
        thing_ids=labels.thing_ids,
        label_divisor=labels.label_divisor,
        ignore_label=labels.ignore_label,
        small_threshold=small.threshold,
        small_weight=small.weight,
    )
    return tensors.Targets(*maps)


def _of_image(
    panoptic: tf.Tensor, labels: label_codec.LabelSpec, sigma: float, small: _Small
) -> tensors.Targets:
    """Computes the targets of one image in TensorFlow's own operations."""
    semantic = runs_lib.classes(panoptic, labels)
    has_instance = panoptic != labels.encode(semantic, 0)
    is_thing = runs_lib.is_any(semantic, labels.thing_ids)
    is_void = semantic == labels.ignore_label
    runs, ids = runs_lib.of_instances(panoptic, labels)
    area, centers = _centers(runs, tf.size(ids))
    is_small = tf.gather(area < small.threshold, runs.segment)
    shape = tf.shape(panoptic)
    result = tensors.Targets(
        semantic=semantic,
        semantic_weight=runs_lib.weights(runs, is_small, shape, small.weight),
        center=_heat_map(centers, shape, sigma),
        center_weight=tf.cast((has_instance | ~is_thing) & ~is_void, tf.float32),
        offset=_offsets(runs, centers, shape),
        offset_weight=tf.cast(is_thing & has_instance, tf.float32),
    )
    static = [panoptic.shape + ([2] if name == 'offset' else []) for name in result._fields]
    return tensors.Targets(*map(tf.ensure_shape, result, static))


def _centers(runs: runs_lib.Runs, count: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns areas, int64 [count], and mean (y, x), halves rounded to even, int64 [count, 2]."""
    within = runs.length * (runs.length - 1) // 2  # 0 + 1 + … along the run
    values = tf.stack([runs.length, runs.y * runs.length, runs.x * runs.length + within], 1)
    sums = tf.math.unsorted_segment_sum(values, runs.segment, count)
    # Exact sums; the mean is rounded once to float32, in which the reference computes it.
    means = tf.cast(sums[:, 1:] / sums[:, :1], tf.float32)
    return sums[:, 0], tf.cast(tf.round(means), tf.int64)


def _offsets(runs: runs_lib.Runs, centers: tf.Tensor, shape: tf.Tensor) -> tf.Tensor:
    """Returns (y, x) from each pixel of an instance to its center, 0 elsewhere: float32 [*shape, 2]."""
    offset = tf.gather(centers, runs.segment) - tf.stack([runs.y, runs.x], 1)
    starts = offset[:, 1] * _UPPER + offset[:, 0] % _UPPER
    ranges = tf.raw_ops.RaggedRange(
        starts=starts, limits=starts - runs.length * _UPPER, deltas=tf.constant(-_UPPER, tf.int64)
    )
    pairs = tf.cast(tf.bitcast(ranges.rt_dense_values, tf.int32), tf.float32)
    # Pairs are written as one value of 64 bits, which is five times as fast.
    written = runs_lib.write(runs.first, runs.length, tf.bitcast(pairs, tf.int64), 0, shape)
    return tf.bitcast(written, tf.float32)


def _heat_map(centers: tf.Tensor, shape: tf.Tensor, sigma: float) -> tf.Tensor:
    """Draws a Gaussian at each center, the larger one where two overlap: float32 [height, width]."""
    gaussian, margin = _gaussian(sigma)
    side = len(gaussian)
    # On a canvas with room for half a window on every side, no window needs clipping.
    height, width = shape[0] + side, shape[1] + side
    centers = tf.cast(centers, tf.int32)
    rows = (centers[:, 0, None] + tf.range(side))[:, :, None]
    columns = (centers[:, 1, None] + tf.range(side))[:, None, :]
    index = tf.reshape(rows * width + columns, [-1, 1])
    values = tf.reshape(tf.broadcast_to(gaussian, [tf.shape(centers)[0], side, side]), [-1])
    canvas = tf.tensor_scatter_nd_max(tf.zeros([height * width]), index, values)
    return tf.reshape(canvas, [height, width])[margin : margin + shape[0], margin : margin + shape[1]]


def _gaussian(sigma: float) -> tuple[np.ndarray, int]:
    """Returns the window around a center, float32 [side, side], and how far it begins before the center."""
    side, peak = int(6 * sigma + 3), 3 * sigma + 1
    distance = (np.arange(side) - peak) ** 2
    window = np.exp(-(distance[:, None] + distance[None, :]) / (2 * sigma**2))
    return window.astype(np.float32), round(peak)
