# SPDX-License-Identifier: Apache-2.0
"""Slots attend to each other as the equation says; a linear map of slots is a matrix product."""

import numpy as np

from panpipe.model.layers import normalization, slots

_NORM = normalization.BatchNorm(epsilon=0.0)
_HEADS = 2


def _x(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def test_a_unit_is_a_matrix_product():
    x, layer = _x(2, 1, 5, 3), slots.unit(4, _NORM, name='unit')
    found = layer(x)
    (kernel,) = (np.array(v) for v in layer.weights if v.path.endswith('kernel'))
    assert kernel.shape == (1, 3, 4)
    np.testing.assert_allclose(found, x @ kernel[0], rtol=1e-5, atol=1e-6)


def test_slots_attend_head_by_head():
    query, key, value = _x(1, 1, 5, 4), _x(1, 1, 5, 4, seed=1), _x(1, 1, 5, 6, seed=2)
    layer = slots.SlotAttention(_HEADS, _NORM, name='attention')
    found = layer(query, key, value)
    expected = []
    for head in range(_HEADS):
        # As they are made, normalizations change nothing.
        q, k, v = (np.split(x[0, 0], _HEADS, -1)[head] for x in (query, key, value))
        weight = np.exp(q @ k.T)
        expected.append(weight / weight.sum(-1, keepdims=True) @ v)
    retrieved = np.concatenate(expected, -1)
    gelu = retrieved / 2 * (1 + np.tanh(np.sqrt(2 / np.pi) * (retrieved + 0.044715 * retrieved**3)))
    np.testing.assert_allclose(found[0, 0], gelu, rtol=1e-3, atol=2e-3)


def test_the_order_of_slots_is_no_matter():
    query, key, value = (_x(1, 1, 5, 4, seed=seed) for seed in range(3))
    layer, order = slots.SlotAttention(_HEADS, _NORM, name='attention'), [3, 1, 4, 0, 2]
    moved = layer(query[:, :, order], key[:, :, order], value[:, :, order])
    np.testing.assert_allclose(moved, np.array(layer(query, key, value))[:, :, order], atol=1e-5)
