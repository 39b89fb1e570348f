# SPDX-License-Identifier: Apache-2.0
"""Gives every thing pixel the number of its nearest center."""

import tensorflow as tf

from panpipe.custom_ops import library
from panpipe.model.postprocess import centers

# Distances are held for this many (pixel, center) pairs at a time: 2 MB of float32, which stay in the cache.
_PAIRS = 2**19


def group(
    peak_map: tf.Tensor,
    offset: tf.Tensor,
    is_thing: tf.Tensor,
    *,
    keep_k_centers: int,
    use_op: bool = True,
) -> tuple[tf.Tensor, tf.Tensor]:
    """Assigns thing pixels to centers, image by image.

    Args:
      peak_map: float32 [batch, height, width], from `centers.peaks`.
      offset: float32 [batch, height, width, 2], (y, x) from the pixel to its center.
      is_thing: bool [batch, height, width].
      keep_k_centers: as `centers.positions`.
      use_op: uses the compiled op if it was built; the result is the same, bit for bit.

    Returns:
      instance: int32 [batch, height, width], 1 + index of the center in row-major order; 0 on stuff, and
        everywhere in an image without centers.
      score: float32 [batch, height, width], peak value of that center, else 0.

    Source: Cheng et al., Panoptic-DeepLab (CVPR 2020), equation 1.
    """
    ops = library.load() if use_op else None
    if ops is not None:
        return tuple(ops.panpipe_group(peak_map, offset, is_thing, keep_k_centers=keep_k_centers))

    def group_image(maps: tuple[tf.Tensor, tf.Tensor, tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor]:
        return _group_image(*maps, keep_k_centers)

    found = tf.map_fn(group_image, (peak_map, offset, is_thing), fn_output_signature=(tf.int32, tf.float32))
    # Of a batch without images the loop cannot know how large they would be.
    instance, score = (tf.reshape(maps, tf.shape(peak_map)) for maps in found)
    return instance, score


def _group_image(
    peak_map: tf.Tensor, offset: tf.Tensor, is_thing: tf.Tensor, keep_k_centers: int
) -> tuple[tf.Tensor, tf.Tensor]:
    center = centers.positions(peak_map, keep_k=keep_k_centers)
    pixel = tf.where(is_thing & (tf.shape(center)[0] > 0))
    target = tf.cast(pixel, tf.float32) + tf.gather_nd(offset, pixel)
    index = nearest(target, tf.cast(center, tf.float32))
    instance = tf.scatter_nd(pixel, index + 1, tf.shape(peak_map, tf.int64))
    # Value 0 goes in front: what index 0, "no center", looks up.
    values = tf.concat([[0.0], tf.gather_nd(peak_map, center)], 0)
    return instance, tf.gather(values, instance)


def nearest(target: tf.Tensor, center: tf.Tensor) -> tf.Tensor:
    """Finds the nearest center of each target, the one of lowest index among equals.

    The squared distance is (ty - cy) * (ty - cy) + (tx - cx) * (tx - cx), where every operation is rounded to
    float32 on its own: no fused multiply-add, no square root. So any implementation gives the same index.
    A distance that is infinite or not a number is never the nearest; where all are, the index is 0.

    Args:
      target: float32 [targets, 2], (y, x).
      center: float32 [centers, 2], (y, x); may only be empty where `target` is.

    Returns:
      int32 [targets].
    """
    # The loop must run once and its body needs a center, even where there are no targets.
    center = tf.pad(center, ((0, tf.cast(tf.shape(center)[0] == 0, tf.int32)), (0, 0)))
    step = tf.maximum(_PAIRS // tf.shape(center)[0], 1)
    chunks = tf.maximum((tf.shape(target)[0] + step - 1) // step, 1)
    found = tf.TensorArray(tf.int32, chunks, infer_shape=False, element_shape=[None])

    def assign(i: tf.Tensor, found: tf.TensorArray) -> tuple[tf.Tensor, tf.TensorArray]:
        part = target[i * step : (i + 1) * step]
        across = tf.square(part[:, 1, None] - center[None, :, 1])
        distance = tf.square(part[:, 0, None] - center[None, :, 0]) + across
        return i + 1, found.write(i, tf.argmin(distance, axis=1, output_type=tf.int32))

    _, found = tf.while_loop(lambda i, _: i < chunks, assign, (0, found), parallel_iterations=1)
    return found.concat()
