# SPDX-License-Identifier: Apache-2.0
"""The decoder of one branch of Panoptic-DeepLab.

Source: Cheng et al., Panoptic-DeepLab (CVPR 2020), section 3.1 and figure 2.
"""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import keras
import tensorflow as tf

from panpipe.model.backbones.endpoints import Endpoints
from panpipe.model.layers import activations, composite, convolution, normalization, resize

_FUSION_SIZE = 5


class LowLevel(NamedTuple):
    """An encoder feature that the decoder joins: an `Endpoints` field, its projection, and what follows."""

    feature: str
    project: keras.layers.Layer
    fuse: keras.layers.Layer


class Convolve(Protocol):
    """A way to make a convolutional layer: `convolution.separable` or `convolution.standard`."""

    def __call__(
        self,
        filters: int,
        size: int,
        norm: normalization.BatchNorm,
        *,
        activation: activations.Activation = ...,
        name: str,
    ) -> keras.layers.Layer: ...


class Decoder(composite.Composite):
    """ASPP, then one fusion with each low-level feature, from low to high resolution."""

    def __init__(
        self,
        feature: str,
        aspp: keras.layers.Layer,
        low_levels: Sequence[LowLevel],
        *,
        name: str,
    ) -> None:
        """Joins the parts.

        Args:
          feature: the `Endpoints` field that goes through `aspp`.
          aspp: layer named 'aspp'.
          low_levels: from low to high resolution, made by `Fusing`.
          name: of the layer.
        """
        super().__init__(name=name)
        self.aspp = aspp
        self.project = [level.project for level in low_levels]
        self.fuse = [level.fuse for level in low_levels]
        self._feature, self._low_features = feature, [level.feature for level in low_levels]

    def call(self, endpoints: Endpoints, pool_scale: float = 1.0) -> tf.Tensor:
        """Returns a feature map at the stride of the last low level; `pool_scale` is as in `aspp.ASPP`."""
        x = self.aspp(getattr(endpoints, self._feature), pool_scale=pool_scale)
        for feature, project, fuse in zip(self._low_features, self.project, self.fuse, strict=True):
            low = project(getattr(endpoints, feature))
            x = fuse(tf.concat([resize.like(x, low), low], axis=-1))
        return x


class Fusing(NamedTuple):
    """How low-level features are joined: channels after each 5x5 convolution, and what that is made of."""

    channels: int
    convolve: Convolve
    norm: normalization.BatchNorm
    activation: activations.Activation = tf.nn.relu

    def low_level(self, number: int, feature: str, channels: int) -> LowLevel:
        """Makes the layers of the `number`-th feature (from 1), which is projected to `channels`."""
        act = self.activation
        project = convolution.standard(channels, 1, self.norm, activation=act, name=f'low_level_conv{number}')
        fuse = self.convolve(self.channels, _FUSION_SIZE, self.norm, activation=act, name='conv1_bn_act')
        return LowLevel(feature, project, composite.Stack([fuse], name=f'fusion_conv{number}'))
