# SPDX-License-Identifier: Apache-2.0
"""Layers of a mask transformer, whose slots are float [batch, 1, slots, channels]: images of one row.

Source: Wang et al., MaX-DeepLab (CVPR 2021), section 3.2, whose memory the slots are.
"""

from typing import Any

import tensorflow as tf

from panpipe.model.layers import activations, composite, convolution, normalization


class PointConvolution(convolution.Convolution):
    """The same linear map of every slot or pixel; published weights keep its kernel as [1, in, out]."""

    def build(self, input_shape: Any) -> None:
        """Makes kernel [1, in, out] and bias."""
        shape = (1, input_shape[-1], self.filters)
        self.kernel = self.add_weight(shape=shape, initializer=self.kernel_initializer, name='kernel')
        if self.use_bias:
            self.bias = self.add_weight(shape=(self.filters,), initializer='zeros', name='bias')

    def _convolve(self, x: tf.Tensor, kernel: tf.Tensor, rate: int) -> tf.Tensor:
        return tf.nn.conv2d(x, tf.expand_dims(kernel, 0), 1, 'SAME')


def unit(
    filters: int,
    norm: normalization.BatchNorm,
    activation: activations.Activation | None = None,
    *,
    kernel_initializer: Any = 'he_normal',
    name: str,
) -> convolution.Unit:
    """Makes a linear map of every slot or pixel with normalization and activation."""
    conv = PointConvolution(filters, kernel_initializer=kernel_initializer)
    return convolution.Unit(conv, norm, activation, name=name)


class SlotAttention(composite.Composite):
    """Every slot attends to all slots; similarities and results are normalized, not scaled."""

    def __init__(self, num_heads: int, norm: normalization.BatchNorm, *, name: str) -> None:
        """Makes the normalizations for `num_heads` heads."""
        super().__init__(name=name)
        self._num_heads = num_heads
        self.batch_norm_similarity = norm('batch_norm_similarity')
        # Each channel of each head has its own scale.
        self.batch_norm_retrieved_value = norm.over((1, 3), 'batch_norm_retrieved_value')

    def call(self, query: tf.Tensor, key: tf.Tensor, value: tf.Tensor) -> tf.Tensor:
        """Maps [batch, 1, slots, depth] each to what is retrieved, of the shape of `value`."""
        shape = tf.shape(value)
        query, key, value = (self._by_head(x) for x in (query, key, value))
        similarity = self.batch_norm_similarity(tf.einsum('bqhd,bkhd->bqkh', query, key))
        weight = tf.nn.softmax(similarity, axis=2)
        retrieved = tf.einsum('bqkh,bkhd->bhqd', weight, value)
        retrieved = activations.gelu(self.batch_norm_retrieved_value(retrieved))
        return tf.reshape(tf.transpose(retrieved, (0, 2, 1, 3)), shape)

    def _by_head(self, x: tf.Tensor) -> tf.Tensor:
        """Splits [batch, 1, slots, depth] into [batch, slots, heads, depth of a head]."""
        shape = tf.shape(x)
        return tf.reshape(x, (shape[0], shape[2], self._num_heads, x.shape[-1] // self._num_heads))
