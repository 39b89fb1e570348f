# SPDX-License-Identifier: Apache-2.0
"""ASPP averages over the window of training, and drops out in training only."""

import numpy as np
import pytest
import tensorflow as tf

from panpipe.model.decoders import aspp
from panpipe.model.layers import normalization

_NORM = normalization.BatchNorm()


def _layer(pool_size):
    layer = aspp.ASPP(4, (1, 2, 3), pool_size, _NORM)
    layer(tf.zeros((1, 5, 7, 3)))
    return layer


def _x(height, width, batch=1):
    return tf.random.stateless_normal((batch, height, width, 3), (1, 2))


@pytest.mark.parametrize('size', [(5, 7), (3, 4), (1, 1)])
def test_up_to_the_window_the_whole_map_is_averaged(size):
    found = _layer((5, 7))._average(_x(*size), 1.0)
    np.testing.assert_allclose(found, tf.reduce_mean(_x(*size), (1, 2), keepdims=True), atol=1e-6)


def test_beyond_the_window_it_slides():
    found = _layer((5, 7))._average(_x(8, 9), 1.0)
    assert found.shape == (1, 4, 3, 3)
    np.testing.assert_allclose(found[0, 3, 2], tf.reduce_mean(_x(8, 9)[0, 3:, 2:], (0, 1)), atol=1e-6)


def test_the_window_follows_the_scale_of_the_image():
    assert _layer((5, 7))._average(_x(9, 13), 2.0).shape == (1, 1, 1, 3)


def test_dropout_is_for_training():
    layer = _layer((5, 7))
    x = _x(5, 7)
    np.testing.assert_array_equal(layer(x, training=False), layer(x, training=False))
    trained = np.array(layer(x, training=True))
    assert (trained == 0).mean() > (np.array(layer(x, training=False)) == 0).mean() - 0.2
    assert not np.array_equal(trained, layer(x, training=True))


def test_names():
    paths = {v.path for v in _layer((5, 7)).weights if v.path.endswith('kernel')}
    assert paths == {
        f'aspp/{name}/conv/kernel'
        for name in (
            'conv_bn_act',
            'aspp_conv1/conv_bn_act',
            'aspp_conv2/conv_bn_act',
            'aspp_conv3/conv_bn_act',
            'aspp_pool/conv_bn_act',
            'proj_conv_bn_act',
        )
    }
