# SPDX-License-Identifier: Apache-2.0
"""Switchable atrous convolution.

Source: Qiao et al., DetectoRS (CVPR 2021), section 3.3. As in the published weights of SWideRNet, the large
rate has no weights of its own, and the switch is linear.
"""

from typing import Any

import tensorflow as tf

from panpipe.model.layers import activations, composite, convolution, normalization

_SWITCH_POOL = 5
_RATE_RATIO = 3


class GlobalContext(composite.Composite):
    """Adds to every pixel a linear function of the image's mean, which starts as 0."""

    def build(self, input_shape: Any) -> None:
        """Sizes the layer by the channels that come in."""
        self.convolution = convolution.Convolution(
            input_shape[-1], use_bias=True, kernel_initializer='zeros', name='convolution'
        )

    def call(self, x: tf.Tensor) -> tf.Tensor:
        """Maps [batch, height, width, channels] to the same shape."""
        return x + self.convolution(tf.reduce_mean(x, (1, 2), keepdims=True))


class SwitchableConvolution(convolution.Convolution):
    """Mixes, pixel by pixel, one kernel at two rates; only for stride 1."""

    def build(self, input_shape: Any) -> None:
        """Makes the kernel, and the switch that starts at the small rate."""
        super().build(input_shape)
        self.switch = convolution.Convolution(1, use_bias=True, kernel_initializer='zeros', name='switch')

    def call(self, x: tf.Tensor) -> tf.Tensor:
        """Convolves [batch, height, width, channels] at both rates and mixes."""
        share = self.switch(tf.nn.avg_pool2d(x, _SWITCH_POOL, 1, 'SAME'))
        small, large = (
            self._convolve(x, self.kernel.value, rate)
            for rate in (self.window.rate, self.window.rate * _RATE_RATIO)
        )
        return share * large + (1.0 - share) * small


class SwitchableUnit(composite.Composite):
    """A unit as `convolution.Unit`, of a switchable convolution between two global contexts."""

    def __init__(
        self,
        filters: int,
        window: convolution.Window,
        norm: normalization.BatchNorm,
        activation: activations.Activation | None = None,
        *,
        name: str,
    ) -> None:
        super().__init__(name=name)
        # Where it reduces the resolution, the published networks do not switch.
        kind = SwitchableConvolution if window.stride == 1 else convolution.Convolution
        self.pre_global_context = GlobalContext(name='pre_global_context')
        self.conv = kind(filters, window)
        self.post_global_context = GlobalContext(name='post_global_context')
        self.batch_norm = norm()
        self.activation = activation or tf.identity

    def call(self, x: tf.Tensor) -> tf.Tensor:
        """Applies context, convolution, context, normalization, activation."""
        x = self.post_global_context(self.conv(self.pre_global_context(x)))
        return self.activation(self.batch_norm(x))
