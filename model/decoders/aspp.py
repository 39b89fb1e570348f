# SPDX-License-Identifier: Apache-2.0
"""Atrous spatial pyramid pooling.

Source: Chen et al., DeepLabv3 (2017), section 3.3.
"""

from collections.abc import Sequence

import keras
import tensorflow as tf

from panpipe.model.layers import activations, composite, convolution, normalization, resize
from panpipe.model.layers.convolution import Window

_DROPOUT = 0.1
_POINT = Window(1)


class ASPP(composite.Composite):
    """Sees a feature map at several scales: 1x1, three rates, and its average."""

    def __init__(
        self,
        channels: int,
        rates: Sequence[int],
        pool_size: tuple[int, int] | None,
        norm: normalization.BatchNorm,
        *,
        activation: activations.Activation = tf.nn.relu,
        name: str = 'aspp',
    ) -> None:
        """Makes the five branches and the projection.

        Args:
          channels: of each branch and of the result.
          rates: of the three 3x3 convolutions.
          pool_size: height and width of the averaging window, as large as the feature map of a training crop;
            None for the whole map, whatever its size.
          norm: makes normalization layers.
          activation: of all convolutions.
          name: of the layer.
        """
        super().__init__(name=name)

        def unit(window: Window = _POINT, name: str = 'conv_bn_act') -> convolution.Unit:
            return convolution.Unit(convolution.Convolution(channels, window), norm, activation, name=name)

        self.conv_bn_act = unit()
        self.atrous = [
            composite.Stack([unit(Window(3, rate=rate))], name=f'aspp_conv{number}')
            for number, rate in enumerate(rates, start=1)
        ]
        self.pool = composite.Stack([unit()], name='aspp_pool')
        self.proj_conv_bn_act = unit(name='proj_conv_bn_act')
        self.dropout = keras.layers.Dropout(_DROPOUT)
        self._pool_size = pool_size

    def call(self, x: tf.Tensor, pool_scale: float = 1.0) -> tf.Tensor:
        """Maps [batch, height, width, any] to [batch, height, width, channels].

        Args:
          x: the feature map.
          pool_scale: factor of the averaging window, for images resized by it.
        """
        pooled = resize.like(self.pool(self._average(x, pool_scale)), x)
        branches = [self.conv_bn_act(x), *(branch(x) for branch in self.atrous), pooled]
        return self.dropout(self.proj_conv_bn_act(tf.concat(branches, axis=-1)))

    def _average(self, x: tf.Tensor, scale: float) -> tf.Tensor:
        """Averages over windows; a map that is smaller than the window is averaged as a whole."""
        if self._pool_size is None:
            return tf.reduce_mean(x, (1, 2), keepdims=True)
        sizes = [int((size - 1) * scale + 1) for size in self._pool_size]
        window = [min(size, known or size) for size, known in zip(sizes, x.shape[1:3], strict=True)]
        return tf.nn.avg_pool2d(x, window, 1, 'VALID')


class Projection(composite.Composite):
    """What stands in for ASPP after encoders that see the whole image: a 1x1 convolution."""

    def __init__(self, channels: int, norm: normalization.BatchNorm, *, name: str = 'aspp') -> None:
        """Makes the projection to `channels`."""
        super().__init__(name=name)
        self.proj_conv_bn_act = convolution.standard(channels, 1, norm, name='proj_conv_bn_act')

    def call(self, x: tf.Tensor, pool_scale: float = 1.0) -> tf.Tensor:
        """Maps [batch, height, width, any] to [batch, height, width, channels], whatever the `pool_scale`."""
        return self.proj_conv_bn_act(x)
