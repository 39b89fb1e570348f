# SPDX-License-Identifier: Apache-2.0
"""Axial attention follows its equation, line by line."""

import numpy as np
import pytest
import tensorflow as tf

from panpipe.model.layers import axial, normalization

_NORM = normalization.BatchNorm()
_DEPTH = axial.Depth(16, 32)


def _filled(layer, x):
    """Calls a layer once, then gives all its variables random values."""
    layer(x)
    random = np.random.default_rng(0)
    for variable in layer.weights:
        low = 0.5 if 'variance' in variable.path else -0.5
        variable.assign(random.uniform(low, 1, variable.shape))
    return layer


def _x(*shape):
    return np.random.default_rng(1).normal(size=shape).astype(np.float32)


def _normalized(x, norm, *index):
    """Normalizes one entry with the moving statistics at `index`."""
    gamma, beta, mean, variance = (np.array(v)[index] for v in norm.weights)
    return (x - mean) / np.sqrt(variance + 1e-3) * gamma + beta


def _attend(layer, line):
    """Attention of one line [length, channels], head by head, query by query."""
    length = len(line)
    qkv = _normalized(line @ np.array(layer.qkv_kernel), layer.batch_norm_qkv, slice(None))
    q, k, v = np.split(qkv, [16, 32], axis=-1)
    rq, rk, rv = (np.array(r.embeddings) for r in (layer.query_rpe, layer.key_rpe, layer.value_rpe))
    out = np.zeros((length, 8, 4))
    for head in range(8):
        query, key, value = q[:, 2 * head :][:, :2], k[:, 2 * head :][:, :2], v[:, 4 * head :][:, :4]
        for l in range(length):
            far = np.arange(length) - l + 254
            terms = (key @ query[l], rq[far] @ query[l], np.sum(key * rk[far], -1))
            similarity = sum(
                _normalized(term, layer.batch_norm_similarity, kind, 0, head, 0, 0)
                for kind, term in enumerate(terms)
            )
            weight = np.exp(similarity - similarity.max())
            weight /= weight.sum()
            for kind, term in enumerate((weight @ value, weight @ rv[far])):
                out[l, head] += _normalized(term, layer.batch_norm_retrieved_output, kind, 0, head, 0)
    return out.reshape(length, 32)


def test_each_line_attends_to_itself():
    x = _x(2, 3, 5, 7)
    layer = _filled(axial.AxisAttention(_DEPTH, _NORM, name='height_axis'), x)
    expected = [[_attend(layer, line) for line in image] for image in x]
    np.testing.assert_allclose(layer(x), expected, atol=1e-4)


@pytest.mark.parametrize('stride', [1, 2])
def test_columns_come_before_rows(stride):
    x = _x(2, 5, 7, 8)
    layer = _filled(axial.AxialAttention(_DEPTH, stride, _NORM, name='attention'), x)
    columns = layer.height_axis(np.swapaxes(x, 1, 2))
    rows = layer.width_axis(np.swapaxes(columns, 1, 2)[:, ::stride])
    np.testing.assert_allclose(layer(x), rows[:, :, ::stride], atol=1e-5)
    assert layer(x).shape == (2, (5 + stride - 1) // stride, (7 + stride - 1) // stride, 32)


def test_far_pixels_share_an_embedding():
    layer = axial.RelativePositions(1, name='rpe')
    layer.build()
    layer.embeddings.assign(np.arange(509)[:, None])
    table = np.array(layer(tf.constant(400)))[..., 0]
    assert table[10, 12] == 256
    assert table[0, 254] == table[0, 399] == 508
    assert table[399, 0] == 0


def test_it_trains():
    layer = axial.AxialAttention(_DEPTH, 1, _NORM, name='attention')
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(layer(_x(2, 4, 3, 8), training=True) ** 2)
    gradients = tape.gradient(loss, [v.value for v in layer.trainable_variables])
    assert all(g is not None and np.isfinite(tf.convert_to_tensor(g)).all() for g in gradients)


def test_heads_share_the_depth_evenly():
    with pytest.raises(ValueError, match='not multiples of 8'):
        axial.AxisAttention(axial.Depth(12, 16), _NORM, name='x')
