# SPDX-License-Identifier: Apache-2.0
"""Draws the random part of training samples: scale, position, flip.

All chance comes from a key, int64 [2]: the same key gives the same sample, on any machine, in any order.
"""

from typing import Any, NamedTuple

import tensorflow as tf

from panpipe.custom_ops import library
from panpipe.model.inputs import resize

# Computing chosen pixels costs about as much as resizing a whole image of 1.2 times their number.
_WHOLE_IS_CHEAPER = 1.2


class Scales(NamedTuple):
    """Sets the range of random scale factors: `smallest` to `largest`, `step` apart, or any for step 0."""

    smallest: float = 1.0
    largest: float = 1.0
    step: float = 0.0


class Window(NamedTuple):
    """Places a training crop: which pixels of the scaled image it shows, and where.

    Attributes:
      scaled: int32 [2], (height, width) of the scaled image.
      start: int32 [2], (y, x) of the first visible pixel in the scaled image.
      visible: int32 [2], (height, width) of the visible part.
      offset: int32 [2], (y, x) of the first visible pixel in the sample; padding surrounds the visible part.
      is_flipped: bool, whether the sample, padding included, is mirrored left to right afterwards.
    """

    scaled: Any
    start: Any
    visible: Any
    offset: Any
    is_flipped: Any

    def rows(self) -> tf.Tensor:
        """Returns the visible rows of the scaled image."""
        return self.start[0] + tf.range(self.visible[0])

    def columns(self) -> tf.Tensor:
        """Returns the visible columns of the scaled image."""
        return self.start[1] + tf.range(self.visible[1])


def draw_size(key: tf.Tensor, height: Any, width: Any, scales: Scales) -> tf.Tensor:
    """Draws the size that an image is scaled to: int32 [2]."""
    scale = _scale(_uniform(key, 0), scales)
    size = tf.cast(tf.stack([height, width]), tf.float32)
    return tf.maximum(tf.cast(size * scale, tf.int32), 1)


def draw_window(key: tf.Tensor, scaled: tf.Tensor, crop_size: resize.Size) -> Window:
    """Draws which part of a scaled image is cropped, where it lies if it is smaller, and the flip.

    Every possible position is equally likely, along each axis; every second sample is flipped.
    """
    room = tf.constant(crop_size) - scaled
    # One number per axis serves both: an axis is either padded or cropped.
    position = _integers(tf.stack([_uniform(key, 1), _uniform(key, 2)]), tf.abs(room) + 1)
    return Window(
        scaled=scaled,
        start=tf.where(room < 0, position, 0),
        visible=tf.minimum(scaled, crop_size),
        offset=tf.where(room > 0, position, 0),
        is_flipped=_uniform(key, 3) < 0.5,
    )


def cut_image(image: tf.Tensor, window: Window, crop_size: resize.Size) -> tf.Tensor:
    """Scales, crops, pads and flips an image [h, w, 3], uint8 or float32: float32 [*crop_size, 3].

    The compiled op does it, if it was built, or TensorFlow's operations; the result is the same, bit for bit.
    """
    ops = library.load()
    if ops is not None:
        return ops.panpipe_cut_image(image, *window, crop_size=crop_size, padding=resize.IMAGE_PADDING)
    height, width = tf.unstack(window.scaled)
    visible = tf.cond(
        _area(window.scaled) <= _WHOLE_IS_CHEAPER * _area(window.visible),
        lambda: tf.slice(
            resize.bilinear(image, height, width),
            [*tf.unstack(window.start), 0],
            [*tf.unstack(window.visible), 3],
        ),
        lambda: resize.bilinear_at(image, window.rows(), window.columns(), height, width),
    )
    return _arrange(tf.ensure_shape(visible, [None, None, 3]), window, crop_size, resize.IMAGE_PADDING)


def cut_label(label: tf.Tensor, window: Window, crop_size: resize.Size, void: int) -> tf.Tensor:
    """Scales, crops, pads and flips a label map int32 [h, w] like its image: int32 [*crop_size]."""
    ops = library.load()
    if ops is not None:
        return ops.panpipe_cut_label(label, *window, crop_size=crop_size, padding=void)
    height, width = tf.unstack(window.scaled)
    visible = resize.nearest_at(label, window.rows(), window.columns(), height, width)
    return _arrange(visible, window, crop_size, void)


def _area(size: tf.Tensor) -> tf.Tensor:
    return tf.reduce_prod(tf.cast(size, tf.float32))


def _arrange(visible: tf.Tensor, window: Window, crop_size: resize.Size, value: float) -> tf.Tensor:
    arranged = tf.cond(
        tf.reduce_all(window.visible == crop_size),
        lambda: tf.identity(visible),
        lambda: resize.pad(visible, window.offset, crop_size, value),
    )
    arranged = tf.ensure_shape(arranged, [*crop_size, *visible.shape[2:]])
    # Slicing with a step of -1 does the same in ten times the time.
    return tf.cond(window.is_flipped, lambda: tf.reverse(arranged, [1]), lambda: arranged)


def num_scales(scales: Scales) -> int:
    """Counts the scale factors that are drawn from (step > 0).

    The configuration's step is a float32, a little above 0.1 for 0.1: from 0.5 to 2.0 there are 15 factors,
    not 16, and they lie 1.5 / 14 apart. Published models were trained so.
    """
    return int((scales.largest - scales.smallest) / scales.step + 1)


def _scale(uniform: tf.Tensor, scales: Scales) -> tf.Tensor:
    smallest, largest = tf.constant(scales.smallest), tf.constant(scales.largest)
    if scales.smallest == scales.largest:
        return smallest
    if scales.step == 0:
        return smallest + uniform * (largest - smallest)
    count = num_scales(scales)
    return tf.linspace(smallest, largest, count)[_integers(uniform, tf.constant(count))]


def _uniform(key: tf.Tensor, purpose: int) -> tf.Tensor:
    """Draws a number of [0, 1) for one purpose."""
    return tf.random.stateless_uniform([4], key)[purpose]


def _integers(uniform: tf.Tensor, count: tf.Tensor) -> tf.Tensor:
    """Turns numbers of [0, 1) into integers of [0, count)."""
    return tf.minimum(tf.cast(uniform * tf.cast(count, tf.float32), tf.int32), count - 1)
