# SPDX-License-Identifier: Apache-2.0
"""What an encoder gives to the decoders."""

from typing import NamedTuple

import tensorflow as tf


class Endpoints(NamedTuple):
    """Features [batch, height / stride, width / stride, channels] of strides 2, 4, 8, 16, 32.

    No stride is larger than the encoder's output stride: from there on resolution stays.
    """

    res1: tf.Tensor
    res2: tf.Tensor
    res3: tf.Tensor
    res4: tf.Tensor
    res5: tf.Tensor
