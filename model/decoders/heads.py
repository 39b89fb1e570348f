# SPDX-License-Identifier: Apache-2.0
"""Prediction heads of Panoptic-DeepLab.

Source: Cheng et al., Panoptic-DeepLab (CVPR 2020), section 3.1: a 5x5 convolution, then a linear 1x1 one.
"""

import keras
import tensorflow as tf

from panpipe.model.decoders import fusion
from panpipe.model.layers import activations, composite, convolution, normalization

_SIZE = 5
_LAST_STDDEV = 0.01


def hidden(
    channels: int,
    convolve: fusion.Convolve,
    norm: normalization.BatchNorm,
    *,
    activation: activations.Activation = tf.nn.relu,
    name: str,
) -> composite.Stack:
    """Makes the part of a head before its last layer, with `channels` outputs."""
    conv = convolve(channels, _SIZE, norm, activation=activation, name='conv1_bn_act')
    return composite.Stack([conv], name=name)


def last(channels: int, *, name: str) -> convolution.Convolution:
    """Makes the last, linear layer of a head with `channels` outputs."""
    return convolution.Convolution(channels, use_bias=True, kernel_initializer=initializer(), name=name)


def initializer() -> keras.Initializer:
    """Makes the initializer of a last layer's kernel."""
    return keras.initializers.TruncatedNormal(stddev=_LAST_STDDEV)
