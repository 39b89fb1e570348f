# SPDX-License-Identifier: Apache-2.0
"""Convolutions with the padding of DeepLab, and the units convolution → normalization → activation."""

import math
from typing import Any, NamedTuple

import keras
import tensorflow as tf

from panpipe.model.layers import activations, atrous, composite, depthwise, normalization


class Window(NamedTuple):
    """The square window of a convolution: size in taps, stride, and rate (distance of the taps) in pixels."""

    size: int = 1
    stride: int = 1
    rate: int = 1


_POINT = Window()


class Convolution(keras.layers.Layer):
    """Convolves [batch, height, width, channels] into [batch, height / stride, width / stride, filters].

    The zero padding is symmetric whatever the stride, so that an odd size n becomes (n + 1) / 2 under stride
    2 and corners stay aligned.

    Source: Chen et al., DeepLabv3 (2017), section 3.1.
    """

    def __init__(
        self,
        filters: int,
        window: Window = _POINT,
        *,
        use_bias: bool = False,
        kernel_initializer: Any = 'he_normal',
        name: str = 'conv',
    ) -> None:
        super().__init__(name=name)
        if window.stride > 1 and window.rate > 1:
            raise ValueError(f'stride {window.stride} with rate {window.rate}; one of the two must be 1')
        self.filters, self.window, self.use_bias = filters, window, use_bias
        self.kernel_initializer = kernel_initializer

    def build(self, input_shape: Any) -> None:
        """Makes kernel [size, size, in, out] and bias."""
        shape = (self.window.size, self.window.size, input_shape[-1], self.filters)
        self.kernel = self.add_weight(shape=shape, initializer=self.kernel_initializer, name='kernel')
        if self.use_bias:
            self.bias = self.add_weight(shape=(self.filters,), initializer='zeros', name='bias')

    def call(self, x: tf.Tensor) -> tf.Tensor:
        """Convolves, and adds the bias if there is one."""
        y = self._convolve(x, self.kernel.value, self.window.rate)
        return tf.nn.bias_add(y, self.bias.value) if self.use_bias else y

    def scaled(self, x: tf.Tensor, scale: tf.Tensor) -> tf.Tensor:
        """Convolves without bias, all that becomes a filter's output times its `scale` [filters]."""
        return self._convolve(x, self.kernel.value * scale, self.window.rate)

    def _convolve(self, x: tf.Tensor, kernel: tf.Tensor, rate: int) -> tf.Tensor:
        if rate > 1 and self.window.size > 1:
            # Of several replicas, a variable is no argument of a custom gradient; its value is.
            return atrous.convolve(x, tf.convert_to_tensor(kernel), rate)
        return tf.nn.conv2d(x, kernel, self.window.stride, _padding(self.window))


class DepthwiseConvolution(keras.layers.Layer):
    """Convolves every channel with a window of its own; padding as in `Convolution`, no bias."""

    def __init__(self, window: Window, *, name: str = 'depthwise_conv') -> None:
        super().__init__(name=name)
        self.window = window

    def build(self, input_shape: Any) -> None:
        """Makes depthwise_kernel [size, size, channels, 1]."""
        shape = (self.window.size, self.window.size, input_shape[-1], 1)
        self.kernel = self.add_weight(shape=shape, initializer='glorot_uniform', name='depthwise_kernel')

    def call(self, x: tf.Tensor) -> tf.Tensor:
        """Convolves."""
        return self._convolve(x, self.kernel.value)

    def scaled(self, x: tf.Tensor, scale: tf.Tensor) -> tf.Tensor:
        """Convolves each channel into its result times its `scale` [channels]."""
        return self._convolve(x, self.kernel.value * scale[:, None])

    def _convolve(self, x: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
        _, stride, rate = self.window
        padding = _padding(self.window)
        if not isinstance(padding, str):
            # With oneDNN, TensorFlow aborts on this convolution joined to a bias if it is to pad by itself.
            x, padding = tf.pad(x, padding), 'VALID'
        return depthwise.convolve(x, kernel, stride, padding, rate)


class Unit(composite.Composite):
    """Convolution without bias, batch normalization, activation.

    Outside training the normalization is folded into the kernel, or, where the map is smaller than the
    kernel, scales the map. That saves passes over memory; and of the two as they are TensorFlow makes one
    operation, which took it twenty times longer with oneDNN.
    """

    def __init__(
        self,
        conv: Convolution | DepthwiseConvolution,
        norm: normalization.BatchNorm,
        activation: activations.Activation | None = None,
        *,
        name: str,
    ) -> None:
        super().__init__(name=name)
        self.conv = conv
        self.batch_norm = norm()
        self.activation = activation or tf.identity

    def call(self, x: tf.Tensor, training: bool | None = None) -> tf.Tensor:
        """Applies the three in turn."""
        if training or not self.batch_norm.built:
            return self.activation(self.batch_norm(self.conv(x)))
        # Statistics are float32 whatever the network computes in.
        scale, shift = (tf.cast(part, x.dtype) for part in self.batch_norm.affine())
        if self._is_map_smaller(x):
            return self.activation(self.conv(x) * scale + shift)
        return self.activation(tf.nn.bias_add(self.conv.scaled(x, scale), shift))

    def _is_map_smaller(self, x: tf.Tensor) -> bool:
        if not x.shape.is_fully_defined():
            return False
        batch, height, width, _ = x.shape
        pixels = batch * height * width / self.conv.window.stride**2
        taps = math.prod(self.conv.kernel.shape) / self.batch_norm.gamma.shape[0]
        return taps > pixels


def separable(
    filters: int,
    size: int,
    norm: normalization.BatchNorm,
    *,
    activation: activations.Activation = tf.nn.relu,
    name: str,
) -> composite.Stack:
    """Makes a depthwise unit followed by a pointwise unit, each with the activation.

    Source: Cheng et al., Panoptic-DeepLab (CVPR 2020), section 3.1.
    """
    depthwise = Unit(DepthwiseConvolution(Window(size)), norm, activation, name='depthwise')
    pointwise = Unit(Convolution(filters), norm, activation, name='pointwise')
    return composite.Stack([depthwise, pointwise], name=name)


def standard(
    filters: int,
    size: int,
    norm: normalization.BatchNorm,
    *,
    activation: activations.Activation = tf.nn.relu,
    name: str,
) -> Unit:
    """Makes a unit of a full convolution with the activation."""
    return Unit(Convolution(filters, Window(size)), norm, activation, name=name)


def _padding(window: Window) -> str | list[list[int]]:
    if window.stride == 1:
        return 'SAME'
    sides = [(window.size - 1) // 2, window.size // 2]
    return [[0, 0], sides, sides, [0, 0]]
