# SPDX-License-Identifier: Apache-2.0
"""The prediction head of a mask transformer: masks as products of pixel features and kernels, and classes.

Source: Wang et al., MaX-DeepLab (CVPR 2021), sections 3.1 and 3.2; Yu et al., k-means Mask Transformer (ECCV
2022), section 4.2, which predicts in every layer of the transformer.
"""

import dataclasses
import math
from typing import NamedTuple

import keras
import tensorflow as tf

from panpipe.model import tensors
from panpipe.model.decoders import fusion, heads
from panpipe.model.layers import activations, composite, normalization, slots

# Masks start as nearly the same of all slots, and almost all slots as void.
_INITIAL_MASK_SCALE = 0.1
_VOID_PRIOR = 9


class Sizes(NamedTuple):
    """Numbers of a prediction head.

    Attributes:
      hidden: channels of the pixel features before the last layer.
      channels: of the pixel features and of the mask kernels.
      num_classes: channels of the class logits, void included.
      convolve: makes the 5x5 convolution.
    """

    hidden: int
    channels: int
    num_classes: int
    convolve: fusion.Convolve


class Layers(NamedTuple):
    """The layers of a prediction head."""

    pixel_head: keras.layers.Layer
    mask_head: keras.layers.Layer
    class_head: keras.layers.Layer
    feature_norm: keras.layers.Layer
    mask_norm: keras.layers.Layer


def layers(sizes: Sizes, norm: normalization.BatchNorm) -> Layers:
    """Makes the layers."""
    block = heads.hidden(sizes.hidden, sizes.convolve, norm, activation=activations.gelu, name='conv_block')
    last = heads.last(sizes.channels, name='final_conv')
    mask_norm = dataclasses.replace(norm, gamma=keras.initializers.Constant(_INITIAL_MASK_SCALE))
    return Layers(
        composite.Stack([block, last], name='pixel_space_head'),
        slots.unit(sizes.channels, norm, name='transformer_mask_head'),
        ClassHead(sizes.num_classes, name='transformer_class_head'),
        norm('pixel_space_feature_batch_norm'),
        # One scale for all slots and pixels.
        mask_norm.over((), 'pixel_space_mask_batch_norm'),
    )


def predict(
    parts: Layers, pixels: tf.Tensor, class_feature: tf.Tensor, mask_feature: tf.Tensor
) -> tensors.MaskHeads:
    """Predicts masks and their classes.

    Args:
      parts: made by `layers`.
      pixels: float [batch, height, width, any].
      class_feature: float [batch, 1, slots, any].
      mask_feature: of the same shape.

    Returns:
      heads at the resolution of `pixels`, without semantic logits.
    """
    feature = tf.math.l2_normalize(parts.feature_norm(parts.pixel_head(pixels)), axis=-1)
    kernels = parts.mask_head(mask_feature)
    logits = tf.einsum('bhwd,bsd->bhws', feature, tf.squeeze(kernels, 1))
    flat = parts.mask_norm(tf.reshape(logits, [-1]))
    return tensors.MaskHeads(
        tf.reshape(flat, tf.shape(logits)), parts.class_head(class_feature), feature, None
    )


class ClassHead(composite.Composite):
    """Maps slots to class logits, the last of which, void, starts as the likeliest."""

    def __init__(self, num_classes: int, *, name: str) -> None:
        """Makes the layer; `num_classes` counts void."""
        super().__init__(name=name)
        self.conv = slots.PointConvolution(num_classes, use_bias=True, kernel_initializer=heads.initializer())
        prior = [0.0] * (num_classes - 1) + [math.log((num_classes - 1) * _VOID_PRIOR)]
        self._prior = prior

    def call(self, x: tf.Tensor) -> tf.Tensor:
        """Maps [batch, 1, slots, any] to [batch, slots, num_classes]."""
        logits = tf.squeeze(self.conv(x), 1)
        return logits + tf.constant(self._prior, logits.dtype)


class AuxiliaryPredictor(composite.Composite):
    """A prediction head inside a transformer layer."""

    def __init__(self, sizes: Sizes, norm: normalization.BatchNorm, *, name: str) -> None:
        """Makes the layers."""
        super().__init__(name=name)
        self.parts = layers(sizes, norm)

    def call(self, pixels: tf.Tensor, slot_feature: tf.Tensor) -> tensors.MaskHeads:
        """Predicts as `predict`, masks and classes from the same feature of the slots."""
        return predict(self.parts, pixels, slot_feature, slot_feature)
