# SPDX-License-Identifier: Apache-2.0
"""Residual blocks. Their inputs and outputs are not activated: the next block, or the endpoint, does that.

Sources: He et al., Identity Mappings in Deep Residual Networks (ECCV 2016), for the order of layers; Chen et
al., Scaling Wide Residual Networks for Panoptic Segmentation (2020), for the rest.
"""

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import keras
import tensorflow as tf

from panpipe.model.backbones.plan import Place
from panpipe.model.layers import (
    activations,
    composite,
    convolution,
    normalization,
    squeeze_excite,
    stochastic_depth,
    switchable,
)
from panpipe.model.layers import axial as axial_layers
from panpipe.model.layers.convolution import Window


@dataclasses.dataclass(frozen=True)
class Style:
    """What all blocks of a stage have in common.

    Attributes:
      norm: makes normalization layers.
      has_se: with squeeze-and-excitation before the addition.
      has_sac: 3x3 convolutions are switchable atrous ones.
      survival: probability that a residual is kept in a training step, by a block's nominal stride.
      activation: of the blocks' inputs, and between their layers.
    """

    norm: normalization.BatchNorm
    has_se: bool
    has_sac: bool
    survival: Callable[[int], float]
    activation: activations.Activation = tf.nn.relu

    def spatial(
        self, filters: int, window: Window, activation: activations.Activation | None, name: str
    ) -> keras.layers.Layer:
        """Makes the unit of a 3x3 convolution; one that ends a residual starts silent."""
        norm = self.norm if activation else self.norm.silent
        if self.has_sac:
            return switchable.SwitchableUnit(filters, window, norm, activation, name=name)
        return convolution.Unit(convolution.Convolution(filters, window), norm, activation, name=name)


class Attention(NamedTuple):
    """Where blocks attend instead of convolving, and how wide they are there.

    Attributes:
      from_stride: the smallest nominal stride of a block's input.
      inner: channels before the attention, in units of the block's filters.
      key: of keys.
      value: of values.
    """

    from_stride: int
    inner: int
    key: int
    value: int


class Residual(composite.Composite):
    """A sum of a shortcut and of some layers in turn, both seeing the activated input."""

    def __init__(
        self, layers: list[keras.layers.Layer], filters: int, place: Place, style: Style, *, name: str
    ) -> None:
        """Joins the layers.

        Args:
          layers: the residual, up to its last normalization.
          filters: channels that these end with.
          place: gives the shortcut's stride.
          style: gives what comes after the last normalization.
          name: of the layer.
        """
        super().__init__(name=name)
        self.residual = list(layers)
        if style.has_se:
            self.residual.append(squeeze_excite.SimplifiedSqueezeExcite(name='squeeze_and_excite'))
        survival = style.survival(place.nominal)
        if survival < 1:
            self.residual.append(stochastic_depth.drop(survival))
        self._filters, self._stride, self._norm = filters, place.stride, style.norm
        self._activation = style.activation

    def build(self, input_shape: Any) -> None:
        """Makes a projection for the shortcut where the number of channels changes."""
        self.shortcut = None
        if input_shape[-1] != self._filters:
            conv = convolution.Convolution(self._filters, Window(1, self._stride))
            self.shortcut = convolution.Unit(conv, self._norm, name='shortcut')

    def call(self, x: tf.Tensor) -> tf.Tensor:
        """Maps a raw feature map to the next one."""
        x = y = self._activation(x)
        for layer in self.residual:
            y = layer(y)
        return y + (self.shortcut(x) if self.shortcut else x[:, :: self._stride, :: self._stride])


def bottleneck(filters: tuple[int, int, int], place: Place, style: Style, *, name: str) -> Residual:
    """Makes a block 1x1 → 3x3 → 1x1 with these channels."""
    reduced, middle, expanded = filters
    window, act = Window(3, place.stride, place.rate), style.activation
    layers = [
        convolution.Unit(convolution.Convolution(reduced), style.norm, act, name='conv1_bn_act'),
        style.spatial(middle, window, act, 'conv2_bn_act'),
        convolution.Unit(convolution.Convolution(expanded), style.norm.silent, name='conv3_bn'),
    ]
    return Residual(layers, expanded, place, style, name=name)


def axial(filters: int, attention: Attention, place: Place, style: Style, *, name: str) -> Residual:
    """Makes a block 1x1 → axial attention → 1x1, `filters` being the unit of its channels."""
    inner = convolution.Convolution(filters * attention.inner)
    depth = axial_layers.Depth(filters * attention.key, filters * attention.value)
    layers = [
        convolution.Unit(inner, style.norm, style.activation, name='conv1_bn_act'),
        axial_layers.AxialAttention(depth, place.stride, style.norm, name='attention'),
        keras.layers.Activation(style.activation, name='act'),
        convolution.Unit(convolution.Convolution(4 * filters), style.norm.silent, name='conv3_bn'),
    ]
    return Residual(layers, 4 * filters, place, style, name=name)


def basic(filters: int, place: Place, style: Style, *, name: str) -> Residual:
    """Makes a block 3x3 → 3x3 with these channels."""
    layers = [
        style.spatial(filters, Window(3, place.stride, place.rate), style.activation, 'conv1_bn_act'),
        style.spatial(filters, Window(3, rate=place.last_rate), None, 'conv2_bn'),
    ]
    return Residual(layers, filters, place, style, name=name)
