# SPDX-License-Identifier: Apache-2.0
"""Axial attention: every pixel attends to its column, then to its row.

Source: Wang et al., Axial-DeepLab (ECCV 2020), section 3: position-sensitive attention, equation 4.
"""

from typing import Any, NamedTuple

import keras
import tensorflow as tf

from panpipe.model.layers import composite, normalization

_HEADS = 8
# Relative positions from -254 to 254 have embeddings of their own; farther ones share the outermost.
_REACH = 254


class Depth(NamedTuple):
    """Channels of all heads together: of keys (and queries), and of values."""

    key: int
    value: int


class AxialAttention(composite.Composite):
    """Attention along the height, then along the width; a stride keeps each stride-th row and column."""

    def __init__(self, depth: Depth, stride: int, norm: normalization.BatchNorm, *, name: str) -> None:
        super().__init__(name=name)
        self.height_axis = AxisAttention(depth, norm, name='height_axis')
        self.width_axis = AxisAttention(depth, norm, name='width_axis')
        self._stride = stride

    def call(self, x: tf.Tensor) -> tf.Tensor:
        """Maps [batch, height, width, channels] to [batch, height / stride, width / stride, values]."""
        x = self.height_axis(tf.transpose(x, (0, 2, 1, 3)))
        x = tf.transpose(x, (0, 2, 1, 3))[:, :: self._stride]
        return self.width_axis(x)[:, :, :: self._stride]


class AxisAttention(composite.Composite):
    """Lets the pixels of each line attend to one another."""

    def __init__(self, depth: Depth, norm: normalization.BatchNorm, *, name: str) -> None:
        """Makes `_HEADS` heads that share `depth`, and its normalizations."""
        super().__init__(name=name)
        if depth.key % _HEADS or depth.value % _HEADS:
            raise ValueError(f'depths {tuple(depth)} are not multiples of {_HEADS}; choose other widths')
        self._depth, self._per_head = depth, Depth(depth.key // _HEADS, depth.value // _HEADS)
        self.batch_norm_qkv = norm('batch_norm_qkv')
        # Each kind of similarity and each head has its own scale; so has each channel of what is retrieved.
        self.batch_norm_similarity = norm.over((0, 2), 'batch_norm_similarity')
        self.batch_norm_retrieved_output = norm.over((0, 2, 4), 'batch_norm_retrieved_output')
        self.query_rpe = RelativePositions(self._per_head.key, name='query_rpe')
        self.key_rpe = RelativePositions(self._per_head.key, name='key_rpe')
        self.value_rpe = RelativePositions(self._per_head.value, name='value_rpe')

    def build(self, input_shape: Any) -> None:
        """Makes the projection [channels, queries + keys + values]."""
        channels = input_shape[-1]
        self.qkv_kernel = self.add_weight(
            shape=(channels, 2 * self._depth.key + self._depth.value),
            initializer=keras.initializers.TruncatedNormal(stddev=channels**-0.5),
            name='qkv_kernel',
        )

    def call(self, x: tf.Tensor) -> tf.Tensor:
        """Maps [batch, lines, length, channels] to [batch, lines, length, values]."""
        qkv = self.batch_norm_qkv(tf.tensordot(x, self.qkv_kernel.value, 1))
        shape = tf.shape(qkv)
        lines = tf.reshape(qkv, (shape[0] * shape[1], shape[2], qkv.shape[-1]))
        query, key, value = map(_by_head, tf.split(lines, (self._depth.key, *self._depth), axis=-1))
        length = shape[2]
        similarity = (
            tf.einsum('bhld,bhmd->bhlm', query, key),
            tf.einsum('bhld,lmd->bhlm', query, self.query_rpe(length)),
            tf.einsum('bhmd,lmd->bhlm', key, self.key_rpe(length)),
        )
        weight = tf.nn.softmax(tf.reduce_sum(self.batch_norm_similarity(tf.stack(similarity)), 0))
        retrieved = (
            tf.einsum('bhlm,bhmd->bhld', weight, value),
            tf.einsum('bhlm,lmd->bhld', weight, self.value_rpe(length)),
        )
        merged = tf.reduce_sum(self.batch_norm_retrieved_output(tf.stack(retrieved)), 0)
        return tf.reshape(tf.transpose(merged, (0, 2, 1, 3)), (*tf.unstack(shape[:3]), self._depth.value))


class RelativePositions(keras.layers.Layer):
    """Embeds the distance from each pixel of a line to each other; all heads share the embeddings."""

    def __init__(self, depth: int, *, name: str) -> None:
        super().__init__(name=name)
        self._depth = depth

    def build(self, input_shape: Any = None) -> None:
        """Makes embeddings [distances, depth]."""
        initializer = keras.initializers.TruncatedNormal(stddev=1.0)
        shape = (2 * _REACH + 1, self._depth)
        self.embeddings = self.add_weight(shape=shape, initializer=initializer, name='embeddings')

    def call(self, length: tf.Tensor) -> tf.Tensor:
        """Returns float32 [length, length, depth]: of query l and key m, the embedding of m - l."""
        place = tf.range(length)
        distance = tf.clip_by_value(place[None] - place[:, None], -_REACH, _REACH)
        return tf.gather(self.embeddings.value, distance + _REACH)


def _by_head(x: tf.Tensor) -> tf.Tensor:
    """Splits [batch, length, depth] into [batch, heads, length, depth of a head]."""
    shape = tf.shape(x)
    split = tf.reshape(x, (shape[0], shape[1], _HEADS, x.shape[-1] // _HEADS))
    return tf.transpose(split, (0, 2, 1, 3))
