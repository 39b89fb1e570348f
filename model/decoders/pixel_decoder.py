# SPDX-License-Identifier: Apache-2.0
"""The pixel decoder of kMaX-DeepLab: from the encoder's coarsest feature back to a fine one.

Source: Yu et al., k-means Mask Transformer (ECCV 2022), section 4.1; for the blocks, Wang et al., MaX-DeepLab
(CVPR 2021).
"""

from typing import NamedTuple

import keras
import tensorflow as tf

from panpipe.model.backbones import blocks, plan
from panpipe.model.backbones.endpoints import Stages
from panpipe.model.layers import activations, composite, convolution, normalization, resize

_ATTENTION = blocks.Attention(from_stride=16, inner=2, key=1, value=2)
# All 3x3 convolutions of the published weights have this rate, at whatever stride.
_RATE = 2


class Level(NamedTuple):
    """One resolution: blocks with 4 * `filters` channels, of axial attention or of convolutions."""

    filters: int
    num_blocks: int
    is_axial: bool


LEVELS = (
    Level(512, 1, True),
    Level(256, 5, True),
    Level(128, 1, False),
    Level(64, 1, False),
    Level(32, 1, False),
)


class PixelDecoder(composite.Composite):
    """Joins the encoder's stages from coarse to fine, each normalized on its own."""

    def __init__(
        self,
        num_levels: int,
        norm: normalization.BatchNorm,
        *,
        width: float = 1.0,
        name: str = 'pixel_decoder',
    ) -> None:
        """Makes the layers of the first `num_levels` of `LEVELS`, `width` times as wide."""
        super().__init__(name=name)
        style = blocks.Style(norm, False, False, lambda nominal: 1.0, activations.gelu)
        levels = [level._replace(filters=round(level.filters * width)) for level in LEVELS[:num_levels]]
        self.num_levels = num_levels
        self.backbone_norms = composite.Numbered(
            [normalization.layer_norm(str(index)) for index in range(num_levels)], name='backbone_norms'
        )
        self.stages = composite.Numbered(
            [_stage(level, style, str(index)) for index, level in enumerate(levels)], name='stages'
        )
        self.skip_connections = composite.Numbered(
            [Fusion(level.filters, norm, name=str(index)) for index, level in enumerate(levels[1:])],
            name='skip_connections',
        )

    def call(self, stages: Stages) -> list[tf.Tensor]:
        """Returns one feature map for each level, coarse to fine, not activated."""
        features = [
            self.backbone_norms(x, index=index) for index, x in enumerate(stages[::-1][: self.num_levels])
        ]
        found = [self.stages(features[0], index=0)]
        for index, feature in enumerate(features[1:]):
            x = self.skip_connections(found[-1], feature, index=index)
            found.append(self.stages(x, index=index + 1))
        return found


class Fusion(composite.Composite):
    """Adds a coarse and a fine feature map, both projected, at the size of the fine one."""

    def __init__(self, channels: int, norm: normalization.BatchNorm, *, name: str) -> None:
        """Makes the projections to `channels`."""
        super().__init__(name=name)
        self.resized_conv_bn1, self.resized_conv_bn2 = (
            convolution.Unit(convolution.Convolution(channels), norm, name=f'resized_conv_bn{number}')
            for number in (1, 2)
        )

    def call(self, coarse: tf.Tensor, fine: tf.Tensor) -> tf.Tensor:
        """Maps [batch, h, w, any] and [batch, height, width, any] to [batch, height, width, channels]."""
        coarse = self.resized_conv_bn1(activations.gelu(coarse))
        return resize.like(coarse, fine) + self.resized_conv_bn2(activations.gelu(fine))


def _stage(level: Level, style: blocks.Style, name: str) -> composite.Stack:
    return composite.Stack(
        [_block(level, style, f'block{index}') for index in range(1, level.num_blocks + 1)], name=name
    )


def _block(level: Level, style: blocks.Style, name: str) -> keras.layers.Layer:
    place = plan.Place(nominal=_ATTENTION.from_stride, stride=1, rate=_RATE, last_rate=_RATE)
    if level.is_axial:
        return blocks.axial(level.filters, _ATTENTION, place, style, name=name)
    return blocks.bottleneck((level.filters, level.filters, 4 * level.filters), place, style, name=name)
