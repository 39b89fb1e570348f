# SPDX-License-Identifier: Apache-2.0
"""Squeeze-and-excitation: channels weighed by what the whole image shows.

Source: Hu et al., Squeeze-and-Excitation Networks (CVPR 2018), section 3.
"""

from typing import Any

import tensorflow as tf

from panpipe.model.layers import activations, composite, convolution


class SqueezeExcite(composite.Composite):
    """The original: two layers with `squeezed` channels between them, and a gate, as in MobileNetV3."""

    def __init__(self, squeezed: int, gate: activations.Activation = tf.sigmoid, *, name: str) -> None:
        super().__init__(name=name)
        self._squeezed, self._gate = squeezed, gate

    def build(self, input_shape: Any) -> None:
        """Sizes the outer layer by the channels that come in."""
        self.se_reduce = convolution.Convolution(self._squeezed, use_bias=True, name='se_reduce')
        self.se_expand = convolution.Convolution(input_shape[-1], use_bias=True, name='se_expand')

    def call(self, x: tf.Tensor) -> tf.Tensor:
        """Scales each channel of [batch, height, width, channels] by a number of (0, 1)."""
        mean = tf.reduce_mean(x, (1, 2), keepdims=True)
        return x * self._gate(self.se_expand(tf.nn.relu(self.se_reduce(mean))))


class SimplifiedSqueezeExcite(composite.Composite):
    """A single layer and a piecewise linear gate, as in SWideRNet.

    Source: Chen et al., Scaling Wide Residual Networks for Panoptic Segmentation (2020), section 3.
    """

    def build(self, input_shape: Any) -> None:
        """Sizes the layer by the channels that come in."""
        self.se_conv = convolution.Convolution(
            input_shape[-1], use_bias=True, kernel_initializer='variance_scaling', name='se_conv'
        )

    def call(self, x: tf.Tensor) -> tf.Tensor:
        """Scales each channel of [batch, height, width, channels] by a number of [0, 1]."""
        return x * activations.hard_sigmoid(self.se_conv(tf.reduce_mean(x, (1, 2), keepdims=True)))
