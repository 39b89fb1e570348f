# SPDX-License-Identifier: Apache-2.0
"""Panoptic-DeepLab, DeepLabv3 and DeepLabv3+: images → heads at the decoder's stride.

The names of their layers are the names of the items in DeepLab2's checkpoints.
"""

from typing import Any, NamedTuple

import keras
import tensorflow as tf

from panpipe.model import tensors
from panpipe.model.decoders import deeplab_v3


class SemanticBranch(NamedTuple):
    """The layers that label classes."""

    decoder: keras.layers.Layer
    head: keras.layers.Layer
    last: keras.layers.Layer


class InstanceBranch(NamedTuple):
    """The layers that find instances: centers, and each pixel's offset to its center."""

    decoder: keras.layers.Layer
    center_head: keras.layers.Layer
    center_last: keras.layers.Layer
    offset_head: keras.layers.Layer
    offset_last: keras.layers.Layer


class Network(keras.Model):
    """A model whose inner layers make their variables when they are first called.

    Its `call` takes `pool_scale`, the factor that images were resized by, which ASPP's averaging follows.
    """

    def build(self, input_shape: Any) -> None:
        """Has no variables of its own."""


class PanopticDeepLab(Network):
    """Labels classes and finds instances in two branches on one encoder.

    Source: Cheng et al., Panoptic-DeepLab (CVPR 2020), section 3.
    """

    def __init__(
        self, encoder: keras.layers.Layer, semantic: SemanticBranch, instance: InstanceBranch | None
    ) -> None:
        """Joins the parts; without `instance`, center heat-map and offset are None."""
        super().__init__(name='panoptic_deeplab')
        self.encoder, self.semantic, self.instance = encoder, semantic, instance

    def call(self, images: tf.Tensor, training: bool = False, pool_scale: float = 1.0) -> tensors.Heads:
        """Maps images [batch, height, width, 3] in RGB, 0 .. 255, to heads at their decoders' stride."""
        features = self.encoder(normalize(images))
        logits = self.semantic.last(
            self.semantic.head(self.semantic.decoder(features, pool_scale=pool_scale))
        )
        if self.instance is None:
            return tensors.Heads(logits, None, None)
        shared = self.instance.decoder(features, pool_scale=pool_scale)
        center = self.instance.center_last(self.instance.center_head(shared))
        offset = self.instance.offset_last(self.instance.offset_head(shared))
        return tensors.Heads(logits, center, offset)


class DeepLabV3(Network):
    """Labels classes at the encoder's output stride."""

    def __init__(
        self,
        encoder: keras.layers.Layer,
        feature: str,
        aspp: keras.layers.Layer,
        classifier: keras.layers.Layer,
        last: keras.layers.Layer,
    ) -> None:
        """Joins the parts; `feature` is the field of the encoder's `Endpoints` that they use."""
        super().__init__(name='deeplab_v3')
        self.encoder, self.aspp, self.classifier, self.last = encoder, aspp, classifier, last
        self._feature = feature

    def call(self, images: tf.Tensor, training: bool = False, pool_scale: float = 1.0) -> tensors.Heads:
        """Maps images [batch, height, width, 3] in RGB, 0 .. 255, to semantic logits."""
        feature = getattr(self.encoder(normalize(images)), self._feature)
        return tensors.Heads(
            self.last(self.classifier(self.aspp(feature, pool_scale=pool_scale))), None, None
        )


class FusionLayers(NamedTuple):
    """What DeepLabv3+ does after the encoder."""

    aspp: keras.layers.Layer
    project: keras.layers.Layer
    fuse: keras.layers.Layer
    last: keras.layers.Layer


class DeepLabV3Plus(Network):
    """Labels classes at the stride of a low-level feature."""

    def __init__(
        self, encoder: keras.layers.Layer, feature: str, low_feature: str, layers: FusionLayers
    ) -> None:
        """Joins the parts; `feature` and `low_feature` are fields of the encoder's `Endpoints`."""
        super().__init__(name='deeplab_v3_plus')
        self.encoder, self.fusion = encoder, layers
        self._feature, self._low_feature = feature, low_feature

    def call(self, images: tf.Tensor, training: bool = False, pool_scale: float = 1.0) -> tensors.Heads:
        """Maps images [batch, height, width, 3] in RGB, 0 .. 255, to semantic logits."""
        features = self.encoder(normalize(images))
        high = self.fusion.aspp(getattr(features, self._feature), pool_scale=pool_scale)
        low = self.fusion.project(getattr(features, self._low_feature))
        return tensors.Heads(self.fusion.last(self.fusion.fuse(deeplab_v3.join(high, low))), None, None)


def normalize(images: tf.Tensor) -> tf.Tensor:
    """Maps 0 .. 255 to -1 .. 1."""
    return images / 127.5 - 1.0
