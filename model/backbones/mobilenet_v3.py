# SPDX-License-Identifier: Apache-2.0
"""MobileNetV3 as an encoder.

Source: Howard et al., Searching for MobileNetV3 (ICCV 2019), tables 1 and 2. Endpoints are the outputs of
depthwise convolutions (before squeeze-and-excitation), which are wider than those of their blocks.
"""

import functools
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import keras
import tensorflow as tf

from panpipe.model.backbones.endpoints import Endpoints
from panpipe.model.layers import (
    activations,
    composite,
    convolution,
    normalization,
    recompute,
    squeeze_excite,
)


class Row(NamedTuple):
    """One line of the architecture's table.

    Attributes:
      filters: output channels.
      size: taps of the (depthwise) convolution.
      stride: nominal stride.
      expansion: channels inside an inverted bottleneck per channel that comes in; 0 for a plain convolution.
      has_se: with squeeze-and-excitation.
      activation: after all convolutions but the last one of a bottleneck.
      endpoint: number of the endpoint that is taken here, 0 for none.
    """

    filters: int
    size: int
    stride: int
    expansion: float
    has_se: bool
    activation: activations.Activation
    endpoint: int = 0


_RELU, _HARD_SWISH = tf.nn.relu, activations.hard_swish

SMALL = (
    Row(16, 3, 2, 0, False, _HARD_SWISH, 1),
    Row(16, 3, 2, 1, True, _RELU, 2),
    Row(24, 3, 2, 72 / 16, False, _RELU),
    Row(24, 3, 1, 88 / 24, False, _RELU, 3),
    Row(40, 5, 2, 4, True, _HARD_SWISH),
    Row(40, 5, 1, 6, True, _HARD_SWISH),
    Row(40, 5, 1, 6, True, _HARD_SWISH),
    Row(48, 5, 1, 3, True, _HARD_SWISH),
    Row(48, 5, 1, 3, True, _HARD_SWISH, 4),
    Row(96, 5, 2, 6, True, _HARD_SWISH),
    Row(96, 5, 1, 6, True, _HARD_SWISH),
    Row(96, 5, 1, 6, True, _HARD_SWISH),
    Row(576, 1, 1, 0, False, _HARD_SWISH, 5),
)
LARGE = (
    Row(16, 3, 2, 0, False, _HARD_SWISH),
    Row(16, 3, 1, 1, False, _RELU, 1),
    Row(24, 3, 2, 4, False, _RELU),
    Row(24, 3, 1, 3, False, _RELU, 2),
    Row(40, 5, 2, 3, True, _RELU),
    Row(40, 5, 1, 3, True, _RELU),
    Row(40, 5, 1, 3, True, _RELU, 3),
    Row(80, 3, 2, 6, False, _HARD_SWISH),
    Row(80, 3, 1, 2.5, False, _HARD_SWISH),
    Row(80, 3, 1, 2.3, False, _HARD_SWISH),
    Row(80, 3, 1, 2.3, False, _HARD_SWISH),
    Row(112, 3, 1, 6, True, _HARD_SWISH),
    Row(112, 3, 1, 6, True, _HARD_SWISH, 4),
    Row(160, 5, 2, 6, True, _HARD_SWISH),
    Row(160, 5, 1, 6, True, _HARD_SWISH),
    Row(160, 5, 1, 6, True, _HARD_SWISH),
    Row(960, 1, 1, 0, False, _HARD_SWISH, 5),
)


class MobileNetV3(composite.Composite):
    """Maps normalized images [batch, height, width, 3] to `Endpoints`."""

    def __init__(
        self,
        table: Sequence[Row],
        norm: normalization.BatchNorm,
        *,
        output_stride: int = 32,
        width_multiplier: float = 1.0,
        gate: activations.Activation = tf.sigmoid,
        name: str = 'encoder',
    ) -> None:
        """Makes the blocks of `table`.

        Args:
          table: one row for each block.
          norm: makes normalization layers.
          output_stride: the largest stride.
          width_multiplier: of all channels.
          gate: of squeeze-and-excitation.
          name: of the layer.
        """
        super().__init__(name=name)
        scaled = [row._replace(filters=divisible(row.filters * width_multiplier)) for row in table]
        inputs = [3, *(row.filters for row in scaled)]
        windows = place(scaled, output_stride)
        make = functools.partial(_block, norm=norm, gate=gate)
        layers = [
            make(row, channels, window, name=str(index))
            for index, (row, channels, window) in enumerate(zip(scaled, inputs, windows, strict=False))
        ]
        self.blocks = _Blocks(layers, [row.endpoint for row in scaled])

    def call(self, images: tf.Tensor) -> Endpoints:
        """Encodes."""
        return self.blocks(images)


class _Blocks(composite.Composite):
    """Runs the blocks in turn and collects the endpoints."""

    def __init__(self, layers: Sequence[keras.layers.Layer], endpoints: Sequence[int]) -> None:
        super().__init__(name='blocks')
        self._blocks, self._endpoints = list(layers), list(endpoints)

    def call(self, x: tf.Tensor) -> Endpoints:
        """Encodes."""
        found: dict[str, tf.Tensor] = {}
        for block, endpoint in zip(self._blocks, self._endpoints, strict=True):
            y = recompute.through(block, x)
            x, inner = y if isinstance(block, InvertedBottleneck) else (y, y)
            if endpoint:
                found[f'res{endpoint}'] = inner
        return Endpoints(**found)


class InvertedBottleneck(composite.Composite):
    """Expansion, depthwise convolution, squeeze-and-excitation, projection; and the input where it fits."""

    def __init__(
        self,
        row: Row,
        channels: int,
        window: convolution.Window,
        norm: normalization.BatchNorm,
        gate: activations.Activation = tf.sigmoid,
        *,
        name: str,
    ) -> None:
        """Makes the layers of `row`.

        Args:
          row: of the architecture's table.
          channels: that come in.
          window: of the depthwise convolution.
          norm: makes normalization layers.
          gate: of squeeze-and-excitation.
          name: of the layer.
        """
        super().__init__(name=name)
        inner = divisible(channels * row.expansion)
        depthwise, act = convolution.DepthwiseConvolution(window), row.activation
        self.conv1_bn_act = (
            convolution.Unit(convolution.Convolution(inner), norm, act, name='conv1_bn_act')
            if row.expansion > 1
            else tf.identity
        )
        self.conv2_bn_act = convolution.Unit(depthwise, norm, act, name='conv2_bn_act')
        self.squeeze_excitation = (
            squeeze_excite.SqueezeExcite(divisible(int(0.25 * inner)), gate, name='squeeze_excitation')
            if row.has_se
            else tf.identity
        )
        self.conv3_bn = convolution.Unit(convolution.Convolution(row.filters), norm, name='conv3_bn')
        self._has_shortcut = row.stride == 1 and channels == row.filters

    def call(self, x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns the block's output, and the output of its depthwise convolution."""
        inner = self.conv2_bn_act(self.conv1_bn_act(x))
        y = self.conv3_bn(self.squeeze_excitation(inner))
        return (x + y if self._has_shortcut else y), inner


def place(table: Sequence[Row], output_stride: int) -> Iterator[convolution.Window]:
    """Yields the window of each row: strides past `output_stride` become rates of the rows after them."""
    stride = rate = 1
    for row in table:
        if stride < output_stride:
            stride *= row.stride
            yield convolution.Window(row.size, row.stride)
        else:
            yield convolution.Window(row.size, rate=rate)
            rate *= row.stride


def divisible(channels: float, divisor: int = 8) -> int:
    """Rounds to a multiple of `divisor`, at least one, and never down by more than a tenth."""
    rounded = max(divisor, int(channels + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < 0.9 * channels else rounded


def _block(
    row: Row,
    channels: int,
    window: convolution.Window,
    norm: normalization.BatchNorm,
    gate: activations.Activation,
    name: str,
) -> keras.layers.Layer:
    if row.expansion:
        return InvertedBottleneck(row, channels, window, norm, gate, name=name)
    return convolution.Unit(convolution.Convolution(row.filters, window), norm, row.activation, name=name)
