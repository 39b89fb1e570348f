# SPDX-License-Identifier: Apache-2.0
"""Convolutions pad symmetrically, dilate, and can be trained."""

import numpy as np
import pytest
import tensorflow as tf

from panpipe.model.layers import atrous, convolution, normalization
from panpipe.model.layers.convolution import Window

_NORM = normalization.BatchNorm()


def _images(*shape):
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


def _direct(x, kernel, stride, rate):
    """Convolves by definition: zero padding of (size - 1) * rate, split evenly, the odd one at the end."""
    size = kernel.shape[0]
    total = (size - 1) * rate
    pads = (total // 2, total - total // 2)
    x = np.pad(x, ((0, 0), pads, pads, (0, 0)))
    height, width = (side - total for side in x.shape[1:3])
    out = np.zeros((len(x), height, width, kernel.shape[-1]))
    for i in range(size):
        for j in range(size):
            out += x[:, i * rate :, j * rate :][:, :height, :width] @ kernel[i, j]
    return out[:, ::stride, ::stride]


@pytest.mark.parametrize(
    'window', [Window(1), Window(3), Window(5), Window(3, rate=4), Window(7, 2), Window(1, 2)]
)
@pytest.mark.parametrize('size', [(9, 13), (8, 6)])
def test_convolution_follows_its_definition(window, size):
    layer = convolution.Convolution(4, window, use_bias=True)
    x = _images(2, *size, 3)
    y = layer(x)
    np.testing.assert_allclose(y, _direct(x, np.array(layer.kernel), window.stride, window.rate), atol=1e-4)


@pytest.mark.parametrize('window', [Window(3), Window(5, 2), Window(3, 2), Window(5, rate=2)])
@pytest.mark.parametrize('size', [(9, 13), (8, 6)])
def test_depthwise_convolution_follows_its_definition(window, size):
    layer = convolution.DepthwiseConvolution(window)
    x = _images(2, *size, 3)
    y = layer(x)
    kernel = np.array(layer.kernel)
    assert kernel.shape == (window.size, window.size, 3, 1)
    diagonal = kernel * np.eye(3)
    np.testing.assert_allclose(y, _direct(x, diagonal, window.stride, window.rate), atol=1e-4)


@pytest.mark.parametrize('is_native', [True, False])
def test_gradient_of_an_atrous_convolution_equals_that_of_the_spread_kernel(is_native, monkeypatch):
    if is_native and not atrous.has_native_gradient():
        pytest.skip('TensorFlow does not compute this gradient on this processor')
    monkeypatch.setattr(atrous, 'has_native_gradient', lambda: is_native)
    layer = convolution.Convolution(2, Window(3, rate=3))
    x = tf.constant(_images(2, 5, 8, 3))
    layer(x)
    weight = _images(2, 5, 8, 2)

    @tf.function
    def gradients(convolve, kernel):
        with tf.GradientTape() as tape:
            tape.watch([x, kernel])
            loss = tf.reduce_sum(convolve(kernel) * weight)
        return tape.gradient(loss, [x, kernel])

    spread = np.zeros((7, 7, 3, 2), np.float32)
    spread[::3, ::3] = layer.kernel
    ours = gradients(lambda _: layer(x), layer.kernel.value)
    theirs = gradients(lambda kernel: tf.nn.conv2d(x, kernel, 1, 'SAME'), tf.constant(spread))
    np.testing.assert_allclose(ours[0], theirs[0], atol=1e-4)
    np.testing.assert_allclose(ours[1], theirs[1][::3, ::3], atol=1e-4)


def test_stride_and_rate_exclude_each_other():
    with pytest.raises(ValueError, match='stride 2 with rate 3'):
        convolution.Convolution(1, Window(3, 2, 3))


def test_a_separable_convolution_activates_twice():
    layer = convolution.separable(4, 5, _NORM, name='x')
    x = _images(1, 6, 6, 3)
    depthwise, pointwise = layer.layers
    y = layer(x)
    assert np.min(depthwise(x)) == 0
    np.testing.assert_allclose(y, pointwise(depthwise(x)), atol=1e-5)
    assert np.min(y) == 0


@pytest.mark.parametrize('conv', [
    lambda: convolution.Convolution(4, Window(3, rate=2)),
    lambda: convolution.Convolution(4, Window(3, 2)),
    lambda: convolution.DepthwiseConvolution(Window(5, 2)),
])  # fmt: skip
def test_a_unit_outside_training_is_its_layers_in_turn(conv):
    x = _images(2, 9, 7, 4)
    unit = convolution.Unit(conv(), _NORM, tf.nn.relu, name='unit')
    first = unit(x)
    random = np.random.default_rng(0)
    np.testing.assert_allclose(unit(x), first, atol=1e-5)
    for variable in unit.batch_norm.weights:
        variable.assign(random.uniform(0.5, 1.5, variable.shape))
    expected = tf.nn.relu(unit.batch_norm(unit.conv(x)))
    np.testing.assert_allclose(unit(x), expected, atol=1e-5)
    assert not np.allclose(unit(x, training=True), expected, atol=1e-2)


def test_units_name_their_variables():
    unit = convolution.standard(4, 3, _NORM, name='conv1_bn_act')
    unit(_images(1, 4, 4, 3))
    assert [v.path for v in unit.weights] == [
        'conv1_bn_act/conv/kernel',
        'conv1_bn_act/batch_norm/gamma',
        'conv1_bn_act/batch_norm/beta',
        'conv1_bn_act/batch_norm/moving_mean',
        'conv1_bn_act/batch_norm/moving_variance',
    ]
