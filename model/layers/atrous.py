# SPDX-License-Identifier: Apache-2.0
"""Atrous convolution that can be trained on a CPU.

TensorFlow computes an atrous convolution everywhere, but its gradient only on accelerators and on processors
for which it turns oneDNN on; the way around (space to batch) cuts a map of 5 x 9 pixels at rate 9 into 81
images. Elsewhere every tap of the kernel gets its gradient from one matrix product, over the pixels whose tap
falls inside the map.
"""

import functools

import tensorflow as tf


def convolve(x: tf.Tensor, kernel: tf.Tensor, rate: int) -> tf.Tensor:
    """Convolves with zero padding and stride 1; the result has the size of `x`.

    Args:
      x: float [batch, height, width, in].
      kernel: float [size, size, in, out], size odd.
      rate: distance of the taps in pixels.

    Source: Chen et al., DeepLab (2016), section 3.1.
    """
    if has_native_gradient():
        return tf.nn.conv2d(x, kernel, 1, 'SAME', dilations=rate)
    return convolve_by_taps(x, kernel, rate)


@functools.cache
def has_native_gradient() -> bool:
    """Finds out whether TensorFlow computes this gradient on the devices of this process."""
    if tf.config.get_visible_devices('GPU'):
        return True
    with tf.init_scope(), tf.device('CPU:0'):
        ones = tf.ones((1, 3, 3, 1))
        try:
            tf.raw_ops.Conv2DBackpropFilter(
                input=ones,
                filter_sizes=(3, 3, 1, 1),
                out_backprop=ones,
                strides=(1, 1, 1, 1),
                padding='SAME',
                dilations=(1, 2, 2, 1),
            )
        except (tf.errors.InvalidArgumentError, tf.errors.UnimplementedError):
            return False
    return True


@tf.custom_gradient
def convolve_by_taps(x: tf.Tensor, kernel: tf.Tensor, rate: tf.Tensor) -> tuple[tf.Tensor, object]:
    """Convolves as `convolve`, with a gradient that every processor computes."""
    rate = int(tf.get_static_value(rate))

    def gradient(dy: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, None]:
        taps = tf.reshape(kernel, (-1, *kernel.shape[2:]))
        # TensorFlow copies whole taps in a twentieth of the time that reversing axes takes.
        flipped = tf.transpose(tf.gather(taps, range(taps.shape[0])[::-1]), (0, 2, 1))
        flipped = tf.reshape(flipped, (*kernel.shape[:2], *flipped.shape[1:]))
        dx = tf.nn.conv2d(dy, flipped, 1, 'SAME', dilations=rate)
        return dx, _kernel_gradient(x, dy, kernel.shape[0], rate), None

    return tf.nn.conv2d(x, kernel, 1, 'SAME', dilations=rate), gradient


def _kernel_gradient(x: tf.Tensor, dy: tf.Tensor, size: int, rate: int) -> tf.Tensor:
    shifts = [(tap - size // 2) * rate for tap in range(size)]
    return tf.stack([tf.stack([_tap_gradient(x, dy, down, right) for right in shifts]) for down in shifts])


def _tap_gradient(x: tf.Tensor, dy: tf.Tensor, down: int, right: int) -> tf.Tensor:
    """Returns [in, out] for the tap that reads the pixel `down` and `right` of the one it writes."""
    read, write = x, dy
    for axis, shift in ((1, down), (2, right)):
        read, write = _overlap(read, shift, axis), _overlap(write, -shift, axis)
    channels = (x.shape[-1], dy.shape[-1])
    pixels = [tf.reshape(part, (-1, depth)) for part, depth in zip((read, write), channels, strict=True)]
    return tf.matmul(*pixels, transpose_a=True)


def _overlap(x: tf.Tensor, shift: int, axis: int) -> tf.Tensor:
    """Cuts off the rows (axis 1) or columns (axis 2) that a map moved by `shift` would not cover."""
    inside = slice(shift, None) if shift >= 0 else slice(None, shift)
    return x[:, inside] if axis == 1 else x[:, :, inside]
