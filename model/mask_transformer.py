# SPDX-License-Identifier: Apache-2.0
"""kMaX-DeepLab: images → masks with classes.

The names of its layers are the names of the items in DeepLab2's checkpoints.
"""

from typing import NamedTuple

import keras
import tensorflow as tf

from panpipe.model import architectures, tensors
from panpipe.model.backbones.endpoints import Stages
from panpipe.model.decoders import mask_prediction
from panpipe.model.layers import activations, resize


class SemanticBranch(NamedTuple):
    """The auxiliary semantic branch, used in training: decoder or None, head, and its last layer."""

    decoder: keras.layers.Layer | None
    head: keras.layers.Layer
    last: keras.layers.Layer

    def logits(self, stages: Stages, activation: activations.Activation) -> tf.Tensor:
        """Returns logits [batch, h, w, num_classes] at the decoder's stride, without one at the encoder's.

        Args:
          stages: the encoder's features.
          activation: what the encoder left out.
        """
        if self.decoder is None:
            return self.last(self.head(stages.stage5))
        # In the published networks the coarsest feature stays as it is.
        features = stages.activated(activation)._replace(res5=stages.stage5)
        return self.last(self.head(self.decoder(features)))


class KMaXDeepLab(architectures.Network):
    """Predicts a set of masks by clustering pixels around learnt centers.

    Source: Yu et al., k-means Mask Transformer (ECCV 2022), section 4.
    """

    def __init__(
        self,
        encoder: keras.layers.Layer,
        pixel_decoder: keras.layers.Layer,
        transformer_decoder: keras.layers.Layer,
        prediction: mask_prediction.Layers,
        semantic: SemanticBranch,
    ) -> None:
        """Joins the parts."""
        super().__init__(name='kmax_deeplab')
        self.encoder, self.pixel_decoder = encoder, pixel_decoder
        self.transformer_decoder = transformer_decoder
        self.prediction, self.semantic = prediction, semantic

    def call(
        self, images: tf.Tensor, training: bool = False, pool_scale: float = 1.0
    ) -> tensors.MaskHeads | tensors.MaskTrainingHeads:
        """Maps images [batch, height, width, 3] in RGB, 0 .. 255, to heads, in training with auxiliary ones.

        `pool_scale` is without effect: no layer averages over a window.
        """
        stages = self.encoder(architectures.normalize(images))
        levels = self.pixel_decoder(stages)
        decoded = self.transformer_decoder(levels)
        main = mask_prediction.predict(
            self.prediction, levels[-1], decoded.class_feature, decoded.mask_feature
        )
        main = main._replace(semantic_logits=self.semantic.logits(stages, self.encoder.activation))
        if not training:
            return main
        return tensors.MaskTrainingHeads(main, tuple(_resized(heads, main) for heads in decoded.auxiliary))


def _resized(heads: tensors.MaskHeads, main: tensors.MaskHeads) -> tensors.MaskHeads:
    return heads._replace(
        mask_logits=resize.like(heads.mask_logits, main.mask_logits),
        pixel_feature=resize.like(heads.pixel_feature, main.mask_logits),
    )
