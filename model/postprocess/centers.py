# SPDX-License-Identifier: Apache-2.0
"""Finds the centers of instances in a heat-map."""

import tensorflow as tf


def peaks(heatmap: tf.Tensor, *, threshold: float, nms_kernel: int) -> tf.Tensor:
    """Keeps the local maxima of a heat-map and sets everything else to 0.

    A pixel stays if it exceeds `threshold` and no pixel of the window around it is larger. All pixels of a
    plateau stay.

    Args:
      heatmap: float32 [batch, height, width].
      threshold: strict lower bound of a center's value.
      nms_kernel: side of the square window in pixels; an even one reaches further down and to the right.

    Returns:
      float32 [batch, height, width].

    Raises:
      ValueError: nms_kernel is not positive.

    Source: Cheng et al., Panoptic-DeepLab (CVPR 2020), section 3.2, "Instance segmentation inference".
    """
    if nms_kernel < 1:
        raise ValueError(f'nms_kernel is {nms_kernel}; it must be at least 1')
    heatmap = tf.where(heatmap > threshold, heatmap, 0.0)
    before = (nms_kernel - 1) // 2
    margin = (before, nms_kernel - 1 - before)
    largest = tf.pad(heatmap, ((0, 0), margin, margin))
    for axis in (1, 2):
        largest = _moving_maximum(largest, nms_kernel, axis)
    return tf.where(largest == heatmap, heatmap, 0.0)


def positions(peak_map: tf.Tensor, *, keep_k: int) -> tf.Tensor:
    """Lists the centers of one image in row-major order.

    Of more than `keep_k` centers, those above the value of rank `keep_k` stay: keep_k - 1 of them if all
    values differ. A `keep_k` of 0 or less keeps all.

    Args:
      peak_map: float32 [height, width], from `peaks`.
      keep_k: number of centers from which the weaker ones are cut.

    Returns:
      int32 [centers, 2], (y, x).
    """
    found = tf.where(peak_map > 0)
    if keep_k > 0:
        values = tf.gather_nd(peak_map, found)
        # Where there are not that many centers, the rank is filled up with zeros, and none is cut.
        ranked = tf.math.top_k(tf.concat([values, tf.zeros(keep_k + 1, values.dtype)], 0), keep_k + 1).values
        cut = tf.where(ranked[keep_k] > 0, ranked[keep_k - 1], 0)
        found = tf.boolean_mask(found, values > cut)
    return tf.cast(found, tf.int32)


def _moving_maximum(image: tf.Tensor, window: int, axis: int) -> tf.Tensor:
    """Returns the maxima of all windows along an axis, which shortens by window - 1.

    Windows double in length until two of them, overlapping, cover the wanted one.
    """
    covered = 1
    while covered < window:
        step = min(covered, window - covered)
        length = tf.shape(image)[axis] - step
        image = tf.maximum(_cut(image, 0, length, axis), _cut(image, step, length, axis))
        covered += step
    return image


def _cut(image: tf.Tensor, start: int, length: tf.Tensor, axis: int) -> tf.Tensor:
    return image[:, start : start + length] if axis == 1 else image[:, :, start : start + length]
