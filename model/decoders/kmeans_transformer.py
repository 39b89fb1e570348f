# SPDX-License-Identifier: Apache-2.0
"""The k-means transformer decoder: cluster centers that gather the pixels assigned to them.

Source: Yu et al., k-means Mask Transformer (ECCV 2022), section 3.2 (k-means cross-attention) and figure 2.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple, Self

import keras
import tensorflow as tf

from panpipe.model import tensors
from panpipe.model.decoders import mask_prediction
from panpipe.model.layers import (
    activations,
    composite,
    normalization,
    slots,
    stochastic_depth,
)

_GELU = activations.gelu


class Sizes(NamedTuple):
    """Numbers of the decoder.

    Attributes:
      num_slots: cluster centers, the most segments that an image can have.
      channels: of a center.
      key: channels of queries and keys in the centers' self-attention, all heads together.
      num_heads: of that attention.
      hidden: channels inside the feed-forward network.
      layers_per_level: transformer layers on each of the pixel decoder's levels.
      num_levels: levels of the pixel decoder that are read, from the coarsest on.
      keep: probability that a residual survives a training step.
    """

    num_slots: int
    channels: int = 256
    key: int = 128
    num_heads: int = 8
    hidden: int = 2048
    layers_per_level: int = 2
    num_levels: int = 3
    keep: float = 1.0

    def times(self, width: float) -> Self:
        """Multiplies all channels by `width`."""
        return self._replace(
            channels=round(self.channels * width),
            key=round(self.key * width),
            hidden=round(self.hidden * width),
        )


class Decoded(NamedTuple):
    """Outputs of the decoder.

    Attributes:
      class_feature: float [batch, 1, slots, channels].
      mask_feature: float [batch, 1, slots, channels].
      auxiliary: the predictions of each layer, at the resolution of the level that it reads.
    """

    class_feature: tf.Tensor
    mask_feature: tf.Tensor
    auxiliary: tuple[tensors.MaskHeads, ...]


class KMeansTransformer(composite.Composite):
    """Refines learnt centers layer by layer, on pixels from coarse to fine."""

    def __init__(
        self,
        sizes: Sizes,
        prediction: mask_prediction.Sizes,
        norm: normalization.BatchNorm,
        *,
        name: str = 'transformer_decoder',
    ) -> None:
        """Makes the layers; `prediction` sizes the prediction head of each."""
        super().__init__(name=name)
        self.sizes = sizes
        self.kmax_decoder = composite.Numbered(
            [
                composite.Nested(KMeansLayer(sizes, prediction, norm), name=str(index))
                for index in range(sizes.layers_per_level * sizes.num_levels)
            ],
            name='kmax_decoder',
        )
        self.class_embedding_projection = slots.unit(
            sizes.channels, norm, _GELU, name='class_embedding_projection'
        )
        self.mask_embedding_projection = slots.unit(
            sizes.channels, norm, _GELU, name='mask_embedding_projection'
        )

    def build(self, input_shape: Any) -> None:
        """Makes the centers that every image starts with."""
        self.cluster_centers = self.add_weight(
            shape=(1, self.sizes.num_slots, self.sizes.channels),
            initializer=keras.initializers.TruncatedNormal(stddev=1.0),
            name='cluster_centers',
        )

    def call(self, levels: Sequence[tf.Tensor]) -> Decoded:
        """Decodes feature maps [batch, height, width, any], coarse to fine."""
        centers = tf.tile(self.cluster_centers.value[None], (tf.shape(levels[0])[0], 1, 1, 1))
        auxiliary = []
        for index in range(self.sizes.layers_per_level * self.sizes.num_levels):
            pixels = levels[index // self.sizes.layers_per_level]
            centers, heads = self.kmax_decoder(pixels, centers, index=index)
            auxiliary.append(heads)
        return Decoded(
            self.class_embedding_projection(centers),
            self.mask_embedding_projection(centers),
            tuple(auxiliary),
        )


class KMeansLayer(composite.Composite):
    """One layer: pixels are assigned to centers, which add them up and attend to each other."""

    def __init__(
        self,
        sizes: Sizes,
        prediction: mask_prediction.Sizes,
        norm: normalization.BatchNorm,
        *,
        name: str = 'block1_transformer',
    ) -> None:
        """Makes the layers."""
        super().__init__(name=name)
        channels, silent = sizes.channels, norm.silent
        scaled = keras.initializers.TruncatedNormal(stddev=channels**-0.5)
        self._depths = (sizes.key, sizes.key, channels)
        self.memory_conv1_bn_act = slots.unit(channels, norm, _GELU, name='memory_conv1_bn_act')
        self.pixel_conv1_bn_act = slots.unit(channels, norm, _GELU, name='pixel_conv1_bn_act')
        self.memory_qkv_conv_bn = slots.unit(
            sum(self._depths), norm, kernel_initializer=scaled, name='memory_qkv_conv_bn'
        )
        self.pixel_v_conv_bn = slots.unit(channels, norm, kernel_initializer=scaled, name='pixel_v_conv_bn')
        self.predictor = mask_prediction.AuxiliaryPredictor(
            prediction, norm, name='auxiliary_clustering_predictor'
        )
        self.sum_norm = norm('kmeans_memory_batch_norm_retrieved_value')
        self.kmeans_memory_conv3_bn = slots.unit(channels, silent, name='kmeans_memory_conv3_bn')
        self.memory_attention = slots.SlotAttention(sizes.num_heads, norm, name='memory_attention')
        self.memory_conv3_bn = slots.unit(channels, silent, name='memory_conv3_bn')
        self.memory_ffn_conv1_bn_act = slots.unit(sizes.hidden, norm, _GELU, name='memory_ffn_conv1_bn_act')
        self.memory_ffn_conv2_bn = slots.unit(channels, silent, name='memory_ffn_conv2_bn')
        self.drop_update, self.drop_attention, self.drop_ffn = (
            stochastic_depth.drop(sizes.keep, name=f'drop_{kind}') for kind in ('update', 'attention', 'ffn')
        )

    def call(self, pixels: tf.Tensor, centers: tf.Tensor) -> tuple[tf.Tensor, tensors.MaskHeads]:
        """Maps pixels [batch, height, width, any] and centers [batch, 1, slots, channels] to new centers.

        Returns:
          the centers, and the masks and classes that the layer predicts.
        """
        memory = self.memory_conv1_bn_act(centers)
        pixels = self.pixel_conv1_bn_act(_GELU(pixels))
        heads = self.predictor(pixels, memory)
        gathered = gather(self.pixel_v_conv_bn(pixels), assign(heads.mask_logits))
        update = self.kmeans_memory_conv3_bn(self.sum_norm(gathered))
        attended = self.memory_attention(*tf.split(self.memory_qkv_conv_bn(memory), self._depths, axis=-1))
        attended = self.memory_conv3_bn(attended)
        centers = _GELU(centers + self.drop_update(update) + self.drop_attention(attended))
        transformed = self.memory_ffn_conv2_bn(self.memory_ffn_conv1_bn_act(centers))
        return _GELU(centers + self.drop_ffn(transformed)), heads


def assign(mask_logits: tf.Tensor) -> tf.Tensor:
    """Returns 1 for the likeliest slot of each pixel, the first of equals, and 0 elsewhere; no gradient."""
    slots_of_pixels = tf.argmax(mask_logits, axis=-1, output_type=tf.int32)
    return tf.one_hot(slots_of_pixels, mask_logits.shape[-1], dtype=mask_logits.dtype)


def gather(values: tf.Tensor, assignment: tf.Tensor) -> tf.Tensor:
    """Adds up the values of each slot's pixels.

    Args:
      values: float [batch, height, width, channels].
      assignment: float [batch, height, width, slots].

    Returns:
      float [batch, 1, slots, channels].
    """
    return tf.einsum('bhws,bhwc->bsc', assignment, values)[:, None]
