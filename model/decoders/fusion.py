# SPDX-License-Identifier: Apache-2.0
"""The decoder of one branch of Panoptic-DeepLab.

Source: Cheng et al., Panoptic-DeepLab (CVPR 2020), section 3.1 and figure 2.
"""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import keras
import tensorflow as tf

from panpipe.model.backbones.endpoints import Endpoints
from panpipe.model.layers import composite, convolution, normalization, resize

_FUSION_SIZE = 5


class LowLevel(NamedTuple):
    """An encoder feature that the decoder joins: an `Endpoints` field, and its channels after projection."""

    feature: str
    channels: int


class Convolve(Protocol):
    """A way to make a convolutional layer with ReLU: `convolution.separable` or `convolution.standard`."""

    def __call__(
        self, filters: int, size: int, norm: normalization.BatchNorm, *, name: str
    ) -> keras.layers.Layer: ...


class Decoder(composite.Composite):
    """ASPP, then one fusion with each low-level feature, from low to high resolution."""

    def __init__(
        self,
        feature: str,
        aspp: keras.layers.Layer,
        low_levels: Sequence[LowLevel],
        fuse: Sequence[keras.layers.Layer],
        norm: normalization.BatchNorm,
        *,
        name: str,
    ) -> None:
        """Makes the projections.

        Args:
          feature: the `Endpoints` field that goes through `aspp`.
          aspp: layer named 'aspp'.
          low_levels: from low to high resolution.
          fuse: one layer for each low level, made by `fusions`.
          norm: makes normalization layers.
          name: of the layer.
        """
        super().__init__(name=name)
        self.aspp, self.fuse = aspp, list(fuse)
        self.project = [
            convolution.standard(level.channels, 1, norm, name=f'low_level_conv{number}')
            for number, level in enumerate(low_levels, start=1)
        ]
        self._feature, self._low_features = feature, [level.feature for level in low_levels]

    def call(self, endpoints: Endpoints, pool_scale: float = 1.0) -> tf.Tensor:
        """Returns a feature map at the stride of the last low level; `pool_scale` is as in `aspp.ASPP`."""
        x = self.aspp(getattr(endpoints, self._feature), pool_scale=pool_scale)
        for feature, project, fuse in zip(self._low_features, self.project, self.fuse, strict=True):
            low = project(getattr(endpoints, feature))
            x = fuse(tf.concat([resize.like(x, low), low], axis=-1))
        return x


def fusions(
    number: int, channels: int, convolve: Convolve, norm: normalization.BatchNorm
) -> list[keras.layers.Layer]:
    """Makes `number` layers of one 5x5 convolution to `channels` each."""
    return [
        composite.Stack(
            [convolve(channels, _FUSION_SIZE, norm, name='conv1_bn_act')], name=f'fusion_conv{index}'
        )
        for index in range(1, number + 1)
    ]
