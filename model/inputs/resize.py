# SPDX-License-Identifier: Apache-2.0
"""Resizes images and labels with aligned corners, and fits images to the network's input size.

Pixel `i` of an axis resized from `n` to `m` pixels lies at `i * (n - 1) / (m - 1)` of the original, so that
the corner pixels of both coincide. TensorFlow's newer resizing functions put pixels elsewhere.
"""

from typing import Any

import tensorflow as tf

from panpipe.custom_ops import library

# The middle of 0 .. 255: becomes 0 when the network normalises.
IMAGE_PADDING = 127.5

Size = tuple[int, int]


def bilinear(image: tf.Tensor, height: Any, width: Any) -> tf.Tensor:
    """Resizes an image [h, w, channels] of any type to float32 [height, width, channels]."""
    return tf.raw_ops.ResizeBilinear(images=image[None], size=[height, width], align_corners=True)[0]


def nearest(label: tf.Tensor, height: Any, width: Any) -> tf.Tensor:
    """Resizes a map [h, w] to [height, width] without mixing values."""
    resized = tf.raw_ops.ResizeNearestNeighbor(
        images=label[None, :, :, None], size=[height, width], align_corners=True
    )
    return resized[0, :, :, 0]


def bilinear_at(image: tf.Tensor, rows: tf.Tensor, columns: tf.Tensor, height: Any, width: Any) -> tf.Tensor:
    """Computes `bilinear(image, height, width)[rows][:, columns]`, bit for bit, without the other pixels.

    Args:
      image: [h, w, channels], any type.
      rows: int32 [m], consecutive and ascending.
      columns: int32 [n], consecutive and ascending.
      height: size of the resized image.
      width: size of the resized image.

    Returns:
      float32 [m, n, channels].
    """
    top, bottom, down = _neighbors(rows, tf.shape(image)[0], height)
    first = top[0]
    band = image[first : bottom[-1] + 1]
    # Of equal height in and out: along columns the op does exactly what it does for the whole image.
    band = bilinear(band, tf.shape(band)[0], width)[:, columns[0] : columns[-1] + 1]
    above, below = tf.gather(band, top - first), tf.gather(band, bottom - first)
    return above + (below - above) * down[:, None, None]


def nearest_at(label: tf.Tensor, rows: tf.Tensor, columns: tf.Tensor, height: Any, width: Any) -> tf.Tensor:
    """Computes `nearest(label, height, width)[rows][:, columns]`; rows as for `bilinear_at`, any columns."""
    size = tf.shape(label)
    down = _closest(rows, size[0], height)
    band = label[down[0] : down[-1] + 1]
    # Whole rows are copied fast, single pixels are not: pixels first, while the rows are few.
    band = tf.gather(band, _closest(columns, size[1], width), axis=1)
    return tf.gather(band, down - down[0])


def fit(height: Any, width: Any, min_size: Size | None, max_size: Size | None, factor: int = 0) -> tf.Tensor:
    """Computes the size that an image is resized to, its sides' ratio kept.

    Args:
      height: of the image.
      width: of the image.
      min_size: (height, width); the image is scaled, up or down, until both sides just reach it; or None.
      max_size: (height, width); after that, the image is scaled down until both sides are within; or None.
      factor: if positive, sides grow to the next multiple of it plus 1.

    Returns:
      int32 [2], (height, width).
    """
    size = tf.stack([tf.cast(height, tf.int32), tf.cast(width, tf.int32)])
    if min_size is not None:
        size = _scaled(size, tf.reduce_max(tf.constant(min_size) / size))
    if max_size is not None:
        limit = [side - (side - 1) % factor if factor > 0 else side for side in max_size]
        size = _scaled(size, tf.minimum(tf.reduce_min(tf.constant(limit) / size), 1.0))
    if factor > 0:
        size += (factor - (size - 1) % factor) % factor
    return size


def place(
    image: tf.Tensor,
    crop_size: Size,
    *,
    min_size: Size | None = None,
    max_size: Size | None = None,
    factor: int = 0,
    use_op: bool = True,
) -> tuple[tf.Tensor, tf.Tensor]:
    """Resizes one image and pads it at the bottom and at the right to the network's input size.

    Args:
      image: uint8 or float32 [h, w, 3], 0 .. 255.
      crop_size: (height, width) of the network's input.
      min_size: as in `fit`.
      max_size: as in `fit`, within `crop_size`; None means `crop_size`.
      factor: as in `fit`.
      use_op: use the compiled op, if it was built; the result is the same, bit for bit.

    Returns:
      The image, float32 [*crop_size, 3], and the size int32 [2] of its part, top left, that is no padding.

    Raises:
      ValueError: `max_size` is larger than `crop_size`.
    """
    limit = crop_size if max_size is None else max_size
    if limit[0] > crop_size[0] or limit[1] > crop_size[1]:
        raise ValueError(f'max_size {limit} is larger than crop_size {crop_size}; make it smaller')
    size = tf.shape(image)
    resized = fit(size[0], size[1], min_size, limit, factor)
    ops = library.load() if use_op else None
    if ops is not None:
        window = {
            'scaled': resized,
            'start': (0, 0),
            'visible': resized,
            'offset': (0, 0),
            'is_flipped': False,
        }
        return ops.panpipe_cut_image(image, **window, crop_size=crop_size, padding=IMAGE_PADDING), resized
    return pad(bilinear(image, resized[0], resized[1]), (0, 0), crop_size, IMAGE_PADDING), resized


def place_label(label: tf.Tensor, resized: tf.Tensor, crop_size: Size, void: int) -> tf.Tensor:
    """Resizes a label map [h, w] to `resized` (see `place`) and pads it with `void`: int32 [*crop_size]."""
    return pad(nearest(label, resized[0], resized[1]), (0, 0), crop_size, void)


def pad(image: tf.Tensor, offset: Any, crop_size: Size, value: float) -> tf.Tensor:
    """Pads [h, w, …] to [*crop_size, …]; its top left pixel comes to `offset`, (y, x)."""
    before = tf.stack([*tf.unstack(tf.cast(offset, tf.int32), 2), *[0] * (image.shape.rank - 2)])
    crop = tf.stack([*crop_size, *tf.unstack(tf.shape(image))[2:]])
    padded = tf.pad(image, tf.stack([before, crop - before - tf.shape(image)], 1), constant_values=value)
    return tf.ensure_shape(padded, [*crop_size, *image.shape[2:]])


def _scaled(size: tf.Tensor, scale: tf.Tensor) -> tf.Tensor:
    # The ratio of integers is float64, the product float32: both roundings decide sizes.
    return tf.cast(tf.floor(tf.cast(size, tf.float32) * tf.cast(scale, tf.float32)), tf.int32)


def _sources(positions: tf.Tensor, original: tf.Tensor, resized: Any) -> tf.Tensor:
    """Where pixels of a resized axis lie on the original one, float32."""
    original = tf.cast(original, tf.float32)
    resized = tf.cast(resized, tf.float32)
    aligned = (original - 1) / tf.maximum(resized - 1, 1)
    return tf.cast(positions, tf.float32) * tf.where(resized > 1, aligned, original / resized)


def _neighbors(positions: tf.Tensor, original: tf.Tensor, resized: Any) -> tuple[tf.Tensor, ...]:
    """Returns the pixels before and after the source of each position, and how far it is between them."""
    source = _sources(positions, original, resized)
    floor = tf.floor(source)
    last = original - 1
    before = tf.minimum(tf.cast(floor, tf.int32), last)
    return before, tf.minimum(tf.cast(tf.math.ceil(source), tf.int32), last), source - floor


def _closest(positions: tf.Tensor, original: tf.Tensor, resized: Any) -> tf.Tensor:
    source = _sources(positions, original, resized)
    floor = tf.floor(source)
    rounded = tf.cast(floor, tf.int32) + tf.cast(source - floor >= 0.5, tf.int32)
    return tf.minimum(rounded, original - 1)
