# SPDX-License-Identifier: Apache-2.0
"""Activations that TensorFlow does not have."""

from collections.abc import Callable

import tensorflow as tf

Activation = Callable[[tf.Tensor], tf.Tensor]


def gelu(x: tf.Tensor) -> tf.Tensor:
    """Computes x * P(X <= x) of a standard normal X, exactly. Source: Hendrycks and Gimpel, GELU (2016)."""
    return tf.nn.gelu(x, approximate=False)


def hard_swish(x: tf.Tensor) -> tf.Tensor:
    """Computes x * relu6(x + 3) / 6. Source: Howard et al., MobileNetV3 (ICCV 2019), section 5.2."""
    return x * tf.nn.relu6(x + 3.0) * (1.0 / 6.0)


def exact_hard_sigmoid(x: tf.Tensor) -> tf.Tensor:
    """Computes relu6(x + 3) / 6. Source: Howard et al., MobileNetV3 (ICCV 2019), section 5.2."""
    return tf.nn.relu6(x + 3.0) * (1.0 / 6.0)


def hard_sigmoid(x: tf.Tensor) -> tf.Tensor:
    """Computes relu6(x + 3) / 6, with the rounded constant that DeepLab2's weights were trained with."""
    return tf.nn.relu6(x + 3.0) * 0.16667
