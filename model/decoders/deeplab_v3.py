# SPDX-License-Identifier: Apache-2.0
"""The layers of DeepLabv3 and DeepLabv3+ between ASPP and logits.

Sources: Chen et al., DeepLabv3 (2017), section 3.3; Chen et al., DeepLabv3+ (ECCV 2018), section 3.1.
"""

import tensorflow as tf

from panpipe.model.layers import composite, convolution, normalization, resize


def fuse(channels: int, norm: normalization.BatchNorm, *, name: str) -> composite.Stack:
    """Makes the two 3x3 convolutions of DeepLabv3+ after the features are joined."""
    names = ('conv1_bn_act', 'conv2_bn_act')
    return composite.Stack([convolution.separable(channels, 3, norm, name=each) for each in names], name=name)


def join(high: tf.Tensor, low: tf.Tensor) -> tf.Tensor:
    """Concatenates, after resizing `high` as `low`; [batch, height, width, channels] each."""
    return tf.concat([resize.like(high, low), low], axis=-1)


def last(num_classes: int, *, name: str) -> composite.Stack:
    """Makes the linear 1x1 convolution to logits; published weights have it one level deeper than others."""
    return composite.Stack([convolution.Convolution(num_classes, use_bias=True)], name=name)
