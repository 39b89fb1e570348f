# SPDX-License-Identifier: Apache-2.0
"""What an encoder gives to the decoders."""

from typing import NamedTuple

import tensorflow as tf

from panpipe.model.layers import activations


class Endpoints(NamedTuple):
    """Features [batch, height / stride, width / stride, channels] of strides 2, 4, 8, 16, 32.

    No stride is larger than the encoder's output stride: from there on resolution stays.
    """

    res1: tf.Tensor
    res2: tf.Tensor
    res3: tf.Tensor
    res4: tf.Tensor
    res5: tf.Tensor


class Stages(NamedTuple):
    """The same before the last activation, for the decoders of mask transformers, which normalize it first.

    The strides are those of `Endpoints`, but for ConvNeXt, whose first two are 4.
    """

    stage1: tf.Tensor
    stage2: tf.Tensor
    stage3: tf.Tensor
    stage4: tf.Tensor
    stage5: tf.Tensor

    def activated(self, activation: activations.Activation) -> Endpoints:
        """Applies the activation that the encoder left out."""
        return Endpoints(*map(activation, self))
