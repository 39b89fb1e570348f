# SPDX-License-Identifier: Apache-2.0
"""Squeeze-and-excitation scales channels by a function of their means."""

import numpy as np

from panpipe.model.layers import squeeze_excite

_X = np.random.default_rng(0).normal(size=(2, 4, 5, 6)).astype(np.float32)
_MEAN = _X.mean((1, 2), keepdims=True)


def _linear(layer, x):
    return x @ np.array(layer.kernel)[0, 0] + np.array(layer.bias)


def test_the_original():
    layer = squeeze_excite.SqueezeExcite(3, name='se')
    y = layer(_X)
    hidden = np.maximum(_linear(layer.se_reduce, _MEAN), 0)
    gate = 1 / (1 + np.exp(-_linear(layer.se_expand, hidden)))
    assert hidden.shape[-1] == 3
    np.testing.assert_allclose(y, _X * gate, atol=1e-5)


def test_the_simplified_one():
    layer = squeeze_excite.SimplifiedSqueezeExcite(name='se')
    y = layer(_X)
    gate = np.clip(_linear(layer.se_conv, _MEAN) + 3, 0, 6) * 0.16667
    np.testing.assert_allclose(y, _X * gate, atol=1e-5)
