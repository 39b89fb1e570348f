# SPDX-License-Identifier: Apache-2.0
"""Depthwise convolution whose gradient a CPU computes about as fast as the convolution itself.

TensorFlow's own gradient by the kernel takes several times as long, and half of a training step of networks
with large depthwise windows. Within `fast_gradients` a compiled op takes its place, and the gradient by the
image is a convolution again. Elsewhere, and on accelerators and under XLA, TensorFlow's gradients are used.
"""

import contextlib
import contextvars
from collections.abc import Iterator

import tensorflow as tf

from panpipe.custom_ops import library

_SIZES = (3, 5)  # what the op is compiled for
_is_fast = contextvars.ContextVar('is_fast', default=False)


@contextlib.contextmanager
def fast_gradients(is_on: bool = True) -> Iterator[None]:
    """Has the compiled op take part in gradients of what is called within; it runs on CPUs alone.

    Raises:
      ValueError: the op is not built.
    """
    if is_on and not library.available():
        raise ValueError('the compiled ops are not built; run python -m panpipe.custom_ops.build')
    token = _is_fast.set(is_on)
    try:
        yield
    finally:
        _is_fast.reset(token)


def convolve(x: tf.Tensor, kernel: tf.Tensor, stride: int, padding: str, rate: int = 1) -> tf.Tensor:
    """Convolves every channel of [batch, height, width, channels] on its own.

    Args:
      x: float.
      kernel: [size, size, channels, 1].
      stride: of both axes.
      padding: 'SAME' or 'VALID'; 'SAME' goes with stride 1.
      rate: distance of the taps in pixels.
    """
    is_plain = rate == 1 and x.dtype == tf.float32 and kernel.shape[0] in _SIZES
    if not (_is_fast.get() and is_plain):
        return _convolve(x, kernel, stride, padding, rate)

    @tf.custom_gradient
    def fast(x: tf.Tensor, kernel: tf.Tensor) -> tuple[tf.Tensor, object]:
        def gradient(dy: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            return _image_gradient(x, kernel, dy, stride, padding), _kernel_gradient(
                x, kernel, dy, stride, padding
            )

        return _convolve(x, kernel, stride, padding, 1), gradient

    # Of several replicas, a variable is no argument of a custom gradient; its value is.
    return fast(x, tf.convert_to_tensor(kernel))


def _convolve(x: tf.Tensor, kernel: tf.Tensor, stride: int, padding: str, rate: int) -> tf.Tensor:
    return tf.nn.depthwise_conv2d(x, kernel, (1, stride, stride, 1), padding, dilations=(rate, rate))


def _image_gradient(x: tf.Tensor, kernel: tf.Tensor, dy: tf.Tensor, stride: int, padding: str) -> tf.Tensor:
    if stride == 1 and padding == 'SAME':
        return _convolve(dy, kernel[::-1, ::-1], 1, 'SAME', 1)
    return tf.raw_ops.DepthwiseConv2dNativeBackpropInput(
        input_sizes=tf.shape(x),
        filter=kernel,
        out_backprop=dy,
        strides=(1, stride, stride, 1),
        padding=padding,
    )


def _kernel_gradient(x: tf.Tensor, kernel: tf.Tensor, dy: tf.Tensor, stride: int, padding: str) -> tf.Tensor:
    size = kernel.shape[0]
    before = (size - 1) // 2 if padding == 'SAME' else 0
    ops = library.load()
    assert ops is not None  # `fast_gradients` has looked
    return ops.panpipe_depthwise_kernel_gradient(x, dy, size=size, stride=stride, top=before, left=before)
