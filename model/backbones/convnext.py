# SPDX-License-Identifier: Apache-2.0
"""ConvNeXt as the pixel encoder of a mask transformer.

Source: Liu et al., A ConvNet for the 2020s (CVPR 2022), section 2 and appendix A. Padding is DeepLab's: sizes
k * stride + 1 stay so.
"""

from typing import Any, NamedTuple

import keras
import tensorflow as tf

from panpipe.model.backbones.endpoints import Stages
from panpipe.model.layers import (
    activations,
    composite,
    convolution,
    depthwise,
    normalization,
    stochastic_depth,
)
from panpipe.model.layers.convolution import Window

_SIZE = 7
_EXPANSION = 4
_INITIAL_SCALE = 1e-6
_INITIAL_STDDEV = 0.02


class Layout(NamedTuple):
    """A member of the family: blocks and channels of its four stages."""

    num_blocks: tuple[int, int, int, int]
    channels: tuple[int, int, int, int]


# Woo et al., ConvNeXt V2 (CVPR 2023), appendix A: the smallest one's size.
ATTO = Layout((2, 2, 6, 2), (40, 80, 160, 320))
TINY = Layout((3, 3, 9, 3), (96, 192, 384, 768))
SMALL = Layout((3, 3, 27, 3), (96, 192, 384, 768))
BASE = Layout((3, 3, 27, 3), (128, 256, 512, 1024))
LARGE = Layout((3, 3, 27, 3), (192, 384, 768, 1536))
XLARGE = Layout((3, 3, 27, 3), (256, 512, 1024, 2048))


class ConvNeXt(composite.Composite):
    """Maps normalized images [batch, height, width, 3] to `Stages`; the activation is GELU.

    There is no batch normalization. `stage1` is what the stem makes.
    """

    activation = staticmethod(activations.gelu)

    def __init__(self, layout: Layout, keep: float = 1.0, *, name: str = 'encoder') -> None:
        """Makes the layers.

        Args:
          layout: blocks and channels.
          keep: probability that the residual of the last block survives a training step; it falls linearly
            from 1 at the first block.
          name: of the layer.
        """
        super().__init__(name=name)
        stem, *reductions = layout.channels
        self.downsample_layers = composite.Numbered(
            [_stem(stem, '0'), *(_reduction(width, str(i)) for i, width in enumerate(reductions, start=1))],
            name='downsample_layers',
        )
        survivals = iter(survival(keep, sum(layout.num_blocks)))
        stages = [[Block(next(survivals), name=_inner(i)) for i in range(n)] for n in layout.num_blocks]
        self.stages = composite.Numbered(
            [composite.Stack(made, name=str(index)) for index, made in enumerate(stages)], name='stages'
        )

    def call(self, images: tf.Tensor) -> Stages:
        """Encodes."""
        stem = self.downsample_layers(images, index=0)
        features = [stem, self.stages(stem, index=0)]
        for index in range(1, 4):
            reduced = self.downsample_layers(features[-1], index=index)
            features.append(self.stages(reduced, index=index))
        return Stages(*features)


class Block(composite.Composite):
    """x plus a scaled residual: 7x7 depthwise convolution, normalization, and two layers on each pixel."""

    def __init__(self, keep: float, *, name: str) -> None:
        """Makes the layers; `keep` is the probability that the residual is kept in a training step."""
        super().__init__(name=name)
        self.depthwise_conv = _Depthwise(name='depthwise_conv')
        self.norm = normalization.layer_norm('norm')
        self.drop_path = stochastic_depth.drop(keep)

    def build(self, input_shape: Any) -> None:
        """Sizes the layers by the channels that come in."""
        channels = input_shape[-1]
        self.pointwise_conv1 = _dense(_EXPANSION * channels, 'pointwise_conv1')
        self.pointwise_conv2 = _dense(channels, 'pointwise_conv2')
        self.layer_scale = self.add_weight(
            shape=(1, 1, 1, channels),
            initializer=keras.initializers.Constant(_INITIAL_SCALE),
            name='layer_scale',
        )

    def call(self, x: tf.Tensor) -> tf.Tensor:
        """Maps [batch, height, width, channels] to the same shape."""
        y = self.pointwise_conv1(self.norm(self.depthwise_conv(x)))
        y = self.pointwise_conv2(activations.gelu(y))
        return x + self.drop_path(y * self.layer_scale.value)


def survival(keep: float, num_blocks: int) -> list[float]:
    """Returns each block's probability of keeping its residual: linearly from 1 to `keep`.

    Source: Huang et al., Deep Networks with Stochastic Depth (ECCV 2016), section 3.
    """
    return [1.0 - (1.0 - keep) * index / (num_blocks - 1) for index in range(num_blocks)]


class _Depthwise(keras.layers.Layer):
    """The depthwise convolution of a block, with bias; its kernel has the axes of a grouped convolution."""

    def build(self, input_shape: Any) -> None:
        channels = input_shape[-1]
        self.kernel = self.add_weight(
            shape=(_SIZE, _SIZE, 1, channels), initializer=_initializer(), name='kernel'
        )
        self.bias = self.add_weight(shape=(channels,), initializer='zeros', name='bias')

    def call(self, x: tf.Tensor) -> tf.Tensor:
        kernel = tf.transpose(self.kernel.value, (0, 1, 3, 2))
        return tf.nn.bias_add(depthwise.convolve(x, kernel, 1, 'SAME', 1), self.bias.value)


class _Unpadded(convolution.Convolution):
    """A convolution of a map that is padded already."""

    def _convolve(self, x: tf.Tensor, kernel: tf.Tensor, rate: int) -> tf.Tensor:
        return tf.nn.conv2d(x, kernel, self.window.stride, 'VALID')


def _stem(channels: int, name: str) -> composite.Stack:
    # The padding of this window is 1 before and 2 behind.
    conv = convolution.Convolution(
        channels, Window(4, 4), use_bias=True, kernel_initializer=_initializer(), name=_inner(0)
    )
    return composite.Stack([conv, normalization.layer_norm(_inner(1))], name=name)


def _reduction(channels: int, name: str) -> composite.Stack:
    conv = _Unpadded(channels, Window(2, 2), use_bias=True, kernel_initializer=_initializer(), name=_inner(1))
    # Padded before normalization, as in the published weights: the convolution sees beta there, not 0.
    padding = keras.layers.ZeroPadding2D(((0, 1), (0, 1)))
    return composite.Stack([padding, normalization.layer_norm(_inner(0)), conv], name=name)


def _dense(channels: int, name: str) -> keras.layers.Dense:
    return keras.layers.Dense(channels, kernel_initializer=_initializer(), name=name)


def _initializer() -> keras.Initializer:
    return keras.initializers.TruncatedNormal(stddev=_INITIAL_STDDEV)


def _inner(index: int) -> str:
    # What Keras calls the layers of a sequence in its checkpoints.
    return f'layer_with_weights-{index}'
