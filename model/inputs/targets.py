# SPDX-License-Identifier: Apache-2.0
"""Computes what the heads should say of a panoptic map.

Source: Cheng et al., Panoptic-DeepLab (CVPR 2020), section 3.2; Yang et al., DeeperLab (2019), section 3.2,
for the weights of small instances.
"""

import itertools

import numpy as np
import tensorflow as tf

from panpipe.model import labels as labels_lib
from panpipe.model import tensors


def targets(
    panoptic: tf.Tensor,
    labels: labels_lib.LabelSpec,
    *,
    sigma: float = 8.0,
    small_instance_threshold: int = 0,
    small_instance_weight: float = 1.0,
) -> tensors.Targets:
    """Computes the targets of one image at the resolution of its panoptic map.

    A thing of instance 0 is a crowd: it keeps its class in `semantic`, and has no weight elsewhere.

    Args:
      panoptic: int32 [height, width], `semantic * label_divisor + instance`.
      labels: what the integers mean.
      sigma: standard deviation of the Gaussian at a center, in pixels.
      small_instance_threshold: an instance of fewer visible pixels is small.
      small_instance_weight: weight of its pixels in `semantic_weight`; all others have 1.

    Raises:
      ValueError: sigma is not positive.
    """
    if not sigma > 0:
        raise ValueError(f'sigma is {sigma}; it must be positive')
    panoptic = tf.convert_to_tensor(panoptic, tf.int32)
    shape = tf.shape(panoptic)
    semantic = panoptic // labels.label_divisor
    instance = panoptic - labels.encode(semantic, 0)  # a division is the dearest operation on integers
    is_thing = _is_any(semantic, labels.thing_ids)
    is_void = semantic == labels.ignore_label
    is_crowd = is_thing & (instance == 0)
    # Everything about instances is computed on their own pixels: mostly a small part of the image.
    pixels = tf.where((instance > 0) & ~is_void)
    _, segment, area = tf.unique_with_counts(tf.gather_nd(panoptic, pixels))
    centers = _centers(pixels, segment, area)
    offsets = tf.gather(centers, segment) - tf.cast(pixels, tf.int32)
    is_small = tf.gather(area < small_instance_threshold, segment)
    return tensors.Targets(
        semantic=semantic,
        semantic_weight=_weights(pixels, is_small, shape, small_instance_weight),
        center=_heat_map(centers, shape, sigma),
        center_weight=tf.cast(~is_crowd & ~is_void, tf.float32),
        offset=tf.scatter_nd(
            pixels, tf.cast(offsets, tf.float32), tf.cast([*tf.unstack(shape), 2], tf.int64)
        ),
        offset_weight=tf.cast(is_thing & ~is_crowd, tf.float32),
    )


def _is_any(semantic: tf.Tensor, ids: tuple[int, ...]) -> tf.Tensor:
    """Tells where a map holds one of the class ids; comparing with ranges is faster than a table."""
    result = tf.zeros_like(semantic, tf.bool)
    for first in (i for i in ids if i - 1 not in ids):
        last = next(i for i in itertools.count(first) if i + 1 not in ids)
        result |= (semantic >= first) & (semantic <= last)
    return result


def _weights(pixels: tf.Tensor, is_chosen: tf.Tensor, shape: tf.Tensor, weight: float) -> tf.Tensor:
    """Returns `weight` on the chosen ones of the pixels [n, 2] and 1 elsewhere: float32 [height, width]."""
    chosen = tf.boolean_mask(pixels, is_chosen)
    values = tf.fill(tf.shape(chosen)[:1], tf.constant(weight, tf.float32))
    return tf.tensor_scatter_nd_update(tf.ones(shape, tf.float32), chosen, values)


def _centers(pixels: tf.Tensor, segment: tf.Tensor, area: tf.Tensor) -> tf.Tensor:
    """Returns the mean coordinates of each segment, halves rounded to even: int32 [segments, 2]."""
    sums = tf.math.unsorted_segment_sum(pixels, segment, tf.size(area))
    # Exact sums; the mean is rounded once to float32, in which the reference computes it.
    means = tf.cast(sums / tf.cast(area, tf.int64)[:, None], tf.float32)
    return tf.cast(tf.round(means), tf.int32)


def _heat_map(centers: tf.Tensor, shape: tf.Tensor, sigma: float) -> tf.Tensor:
    """Draws a Gaussian at each center, the larger one where two overlap: float32 [height, width]."""
    side, peak = int(6 * sigma + 3), 3 * sigma + 1
    distance = (np.arange(side) - peak) ** 2
    gaussian = np.exp(-(distance[:, None] + distance[None, :]) / (2 * sigma**2)).astype(np.float32)
    # On a canvas with room for half a window on every side, no window needs clipping.
    height, width = shape[0] + side, shape[1] + side
    rows = (centers[:, 0, None] + tf.range(side))[:, :, None]
    columns = (centers[:, 1, None] + tf.range(side))[:, None, :]
    index = tf.reshape(rows * width + columns, [-1, 1])
    values = tf.reshape(tf.broadcast_to(gaussian, [tf.shape(centers)[0], side, side]), [-1])
    canvas = tf.tensor_scatter_nd_max(tf.zeros([height * width]), index, values)
    margin = round(peak)
    return tf.reshape(canvas, [height, width])[margin : margin + shape[0], margin : margin + shape[1]]
