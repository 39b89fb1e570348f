# SPDX-License-Identifier: Apache-2.0
"""Switchable atrous convolution starts as a plain one, and mixes two rates by its switch."""

import numpy as np
import pytest

from panpipe.model.layers import convolution, normalization, switchable
from panpipe.model.layers.convolution import Window

_X = np.random.default_rng(0).normal(size=(2, 9, 11, 3)).astype(np.float32)


@pytest.mark.parametrize('window', [Window(3), Window(3, rate=2), Window(3, 2)])
def test_a_fresh_unit_is_a_plain_one(window):
    unit = switchable.SwitchableUnit(4, window, normalization.BatchNorm(), name='conv')
    y = unit(_X)
    plain = convolution.Convolution(4, window)
    plain.build(_X.shape)
    plain.kernel.assign(unit.conv.kernel)
    np.testing.assert_allclose(y, unit.batch_norm(plain(_X)), atol=1e-5)


def test_the_switch_mixes_the_rates():
    layer = switchable.SwitchableConvolution(4, Window(3, rate=2))
    layer(_X)
    plain, large = (
        convolution.Convolution(4, Window(3, rate=2)),
        convolution.Convolution(4, Window(3, rate=6)),
    )
    for one in (plain, large):
        one.build(_X.shape)
        one.kernel.assign(layer.kernel)
    layer.switch.bias.assign([0.25])
    np.testing.assert_allclose(layer(_X), 0.25 * large(_X) + 0.75 * plain(_X), atol=1e-5)


def test_the_switch_sees_the_neighbourhood():
    """An average over 5x5 pixels, of those inside the image only."""
    layer = switchable.SwitchableConvolution(1, Window(3))
    x = np.zeros((1, 9, 9, 1), np.float32)
    x[0, 0, 0] = 9
    layer(x)
    layer.kernel.assign(np.ones((3, 3, 1, 1)))
    layer.switch.kernel.assign(np.ones((1, 1, 1, 1)))
    y = np.array(layer(x))[0, ..., 0]
    share = 9 / 9  # at the corner the window has nine pixels inside
    assert y[0, 0] == pytest.approx(share * 9 + (1 - share) * 9)
    assert y[3, 3] == pytest.approx(0)  # out of the switch's reach
    assert y[2, 2] == pytest.approx(0)  # rate 3 misses it, the switch is on but both taps are empty


def test_a_context_adds_a_function_of_the_mean():
    layer = switchable.GlobalContext(name='context')
    np.testing.assert_array_equal(layer(_X), _X)
    layer.convolution.kernel.assign(np.eye(3)[None, None])
    np.testing.assert_allclose(layer(_X), _X + _X.mean((1, 2), keepdims=True), atol=1e-5)
