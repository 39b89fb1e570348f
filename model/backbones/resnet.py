# SPDX-License-Identifier: Apache-2.0
"""The ResNet family: ResNet-50, its beta variant with three stem convolutions, SWideRNet, and axial ones.

No max-pooling: the first block of stage 2 reduces the resolution instead.

Sources: He et al., Deep Residual Learning (CVPR 2016), table 1; Chen et al., Scaling Wide Residual Networks
for Panoptic Segmentation (2020), section 3; Wang et al., Axial-DeepLab (ECCV 2020), section 3.3.
"""

import dataclasses
import functools
from collections.abc import Callable

import keras
import tensorflow as tf

from panpipe.model.backbones import blocks, plan
from panpipe.model.backbones.endpoints import Endpoints, Stages
from panpipe.model.layers import activations, composite, convolution, normalization
from panpipe.model.layers.convolution import Window

Stem = Callable[[float, normalization.BatchNorm], keras.layers.Layer]


@dataclasses.dataclass(frozen=True)
class Layout:
    """A member of the family.

    Attributes:
      stem: makes the layers before the first stage from width multiplier and normalization.
      num_blocks: of stages 1 .. 5.
      is_wide: basic blocks up to stage 4 and wider bottlenecks in stage 5.
      drop_from_stride: blocks of a smaller nominal stride are never dropped.
      attention: what replaces spatial convolutions in later blocks, or None.
      activation: everywhere.
    """

    stem: Stem
    num_blocks: tuple[int, int, int, int, int]
    is_wide: bool
    drop_from_stride: int
    attention: blocks.Attention | None = None
    activation: activations.Activation = tf.nn.relu


@dataclasses.dataclass(frozen=True)
class Options:
    """How a layout is scaled and what is added to it.

    Attributes:
      output_stride: the largest stride; a power of two.
      stem_width, width, depth: multipliers of channels of the stem and stage 1, channels of all else, and
        blocks of stages 2 .. 5.
      has_se: squeeze-and-excitation in each block.
      sac_from_stride: smallest nominal stride of stages with switchable atrous convolution; 0 for none.
      keep: probability that a block of the last stage survives a training step.
      is_keep_linear: earlier stages survive with linearly higher probability.
    """

    output_stride: int = 32
    stem_width: float = 1.0
    width: float = 1.0
    depth: float = 1.0
    has_se: bool = False
    sac_from_stride: int = 0
    keep: float = 1.0
    is_keep_linear: bool = False


class _Trunk(composite.Composite):
    """Stem and stages."""

    def __init__(
        self, layout: Layout, options: Options, norm: normalization.BatchNorm, *, name: str = 'encoder'
    ) -> None:
        """Makes stem and stages."""
        super().__init__(name=name)
        self.stem = layout.stem(options.stem_width, norm)
        self.stages = [_stage(number, layout, options, norm) for number in range(1, 6)]
        self.activation = layout.activation

    def encode(self, images: tf.Tensor) -> Stages:
        """Encodes, without the last activation of each stage."""
        x = self.stem(images)
        features = []
        for stage in self.stages:
            x = stage(x)
            features.append(x)
        return Stages(*features)


class ResNet(_Trunk):
    """Maps normalized images [batch, height, width, 3] to `Endpoints`."""

    def call(self, images: tf.Tensor) -> Endpoints:
        """Encodes."""
        return self.encode(images).activated(self.activation)


class PixelResNet(_Trunk):
    """Maps normalized images [batch, height, width, 3] to `Stages`, for mask transformers."""

    def call(self, images: tf.Tensor) -> Stages:
        """Encodes."""
        return self.encode(images)


def plain_stem(width: float, norm: normalization.BatchNorm) -> convolution.Unit:
    """Makes a 7x7 convolution of stride 2."""
    return convolution.Unit(convolution.Convolution(int(64 * width), Window(7, 2)), norm, name='stem')


def inception_stem(
    width: float, norm: normalization.BatchNorm, activation: activations.Activation = tf.nn.relu
) -> composite.Stack:
    """Makes three 3x3 convolutions, the first of stride 2."""
    narrow, broad = int(64 * width), int(128 * width)
    first, second, third = (
        convolution.Convolution(narrow, Window(3, 2)),
        convolution.Convolution(narrow, Window(3)),
        convolution.Convolution(broad, Window(3)),
    )
    layers = [
        convolution.Unit(first, norm, activation, name='conv1_bn_act'),
        convolution.Unit(second, norm, activation, name='conv2_bn_act'),
        convolution.Unit(third, norm, name='conv3_bn'),
    ]
    return composite.Stack(layers, name='stem')


def wide_stem(width: float, norm: normalization.BatchNorm) -> convolution.Unit:
    """Makes a 3x3 convolution of stride 2."""
    return convolution.Unit(convolution.Convolution(round(64 * width), Window(3, 2)), norm, name='stem')


RESNET50 = Layout(plain_stem, (0, 3, 4, 6, 3), is_wide=False, drop_from_stride=16)
RESNET50_BETA = Layout(inception_stem, (0, 3, 4, 6, 3), is_wide=False, drop_from_stride=16)
SWIDERNET = Layout(wide_stem, (3, 3, 6, 3, 3), is_wide=True, drop_from_stride=4)
MAX_DEEPLAB_S = dataclasses.replace(RESNET50_BETA, attention=blocks.Attention(16, inner=2, key=1, value=2))
KMAX_AXIAL_RESNET50 = dataclasses.replace(
    MAX_DEEPLAB_S,
    stem=functools.partial(inception_stem, activation=activations.gelu),
    activation=activations.gelu,
)
AXIAL_SWIDERNET = dataclasses.replace(SWIDERNET, attention=blocks.Attention(16, inner=4, key=2, value=4))


def _stage(
    number: int, layout: Layout, options: Options, norm: normalization.BatchNorm
) -> keras.layers.Layer:
    _, stride = plan.strides(number)
    style = blocks.Style(
        norm,
        has_se=options.has_se,
        has_sac=0 < options.sac_from_stride <= stride,
        survival=plan.DropPath(options.keep, options.is_keep_linear, layout.drop_from_stride).survival,
        activation=layout.activation,
    )
    # Stage 1 belongs to the stem: it is scaled with it in width, and not at all in depth.
    width, depth = (options.stem_width, 1.0) if number == 1 else (options.width, options.depth)
    places = plan.places(number, int(layout.num_blocks[number - 1] * depth), options.output_stride)
    filters = round(2 ** (number - 1) * 32 * width)
    return composite.Stack(
        [
            _block(layout, filters, stride, place, style, f'block{index}')
            for index, place in enumerate(places, start=1)
        ],
        name=f'stage{number}',
    )


def _block(
    layout: Layout, filters: int, stride: int, place: plan.Place, style: blocks.Style, name: str
) -> keras.layers.Layer:
    if layout.attention and place.nominal >= layout.attention.from_stride:
        return blocks.axial(filters, layout.attention, place, style, name=name)
    if not layout.is_wide:
        return blocks.bottleneck((filters, filters, 4 * filters), place, style, name=name)
    if stride < 32:
        return blocks.basic(4 * filters, place, style, name=name)
    return blocks.bottleneck((filters, 2 * filters, 4 * filters), place, style, name=name)
