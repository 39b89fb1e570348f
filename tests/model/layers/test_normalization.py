# SPDX-License-Identifier: Apache-2.0
"""The fused normalization does what Keras' own does."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from panpipe.model.layers import normalization

_RECIPE = normalization.BatchNorm(momentum=0.9, epsilon=1e-3)


def _images(shape, seed=0):
    return tf.constant(np.random.default_rng(seed).normal(2, 3, shape).astype(np.float32))


def _pair(channels):
    """Makes a fused layer and Keras' own with the same random variables."""
    fused, plain = _RECIPE(), keras.layers.BatchNormalization(momentum=0.9, epsilon=1e-3)
    for layer in (fused, plain):
        layer.build((None, None, None, channels))
    random = np.random.default_rng(1)
    for ours, theirs in zip(fused.weights, plain.weights, strict=True):
        value = random.uniform(0.5, 1.5, channels)
        ours.assign(value)
        theirs.assign(value)
    return fused, plain


def test_inference_equals_keras():
    fused, plain = _pair(5)
    x = _images((2, 7, 9, 5))
    np.testing.assert_allclose(fused(x, training=False), plain(x, training=False), atol=1e-5)


def test_training_equals_keras_but_for_the_unbiased_variance():
    fused, plain = _pair(5)
    x, count = _images((2, 7, 9, 5)), 2 * 7 * 9
    before = np.array(fused.moving_variance)
    np.testing.assert_allclose(fused(x, training=True), plain(x, training=True), atol=1e-5)
    np.testing.assert_allclose(fused.moving_mean, plain.moving_mean, rtol=1e-5)
    biased = (np.array(plain.moving_variance) - 0.9 * before) / 0.1
    unbiased = biased * count / (count - 1)
    np.testing.assert_allclose(fused.moving_variance, 0.9 * before + 0.1 * unbiased, rtol=1e-5)


def test_synchronized_layers_follow_the_biased_variance_on_one_replica_too():
    layer, x = normalization.BatchNorm(0.9, 1e-3, is_synchronized=True)(), _images((2, 1, 2, 4))
    layer(x, training=True)
    biased = np.var(x, axis=(0, 1, 2))
    np.testing.assert_allclose(layer.moving_variance, 0.9 + 0.1 * biased, rtol=1e-5)


def test_gradients_equal_keras():
    results = []
    for layer in _pair(3):
        x = _images((2, 5, 4, 3))
        with tf.GradientTape() as tape:
            tape.watch(x)
            loss = tf.reduce_sum(layer(x, training=True) * _images((2, 5, 4, 3), seed=2))
        results.append(tape.gradient(loss, [x, layer.gamma.value, layer.beta.value]))
    for ours, theirs in zip(*results, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-4)


def test_a_single_value_trains():
    """The pooling branch of ASPP normalizes one pixel of one image: its variance is 0, not NaN."""
    layer = _RECIPE()
    y = tf.function(layer)(_images((1, 1, 1, 4)), training=True)
    np.testing.assert_allclose(y, np.zeros((1, 1, 1, 4)), atol=1e-6)
    np.testing.assert_allclose(layer.moving_variance, np.full(4, 0.9), atol=1e-6)


def test_frozen_layers_keep_their_statistics():
    layer, _ = _pair(3)
    layer.trainable = False
    before = np.array(layer.moving_mean)
    layer(_images((2, 4, 4, 3)), training=True)
    np.testing.assert_array_equal(layer.moving_mean, before)


def test_silent_starts_at_zero():
    assert not np.any(_RECIPE.silent()(_images((1, 3, 3, 2)), training=True))
    assert _RECIPE.silent.epsilon == _RECIPE.epsilon


@pytest.mark.parametrize('name', ['batch_norm', 'batch_norm_qkv'])
def test_layers_take_the_name(name):
    assert _RECIPE(name).name == name


@pytest.mark.parametrize('training', [False, True])
def test_several_axes_are_one_axis_of_many_channels(training):
    x = _images((3, 4, 2, 5))
    ours = _RECIPE.over((0, 2), 'batch_norm')
    theirs = keras.layers.BatchNormalization(momentum=0.9, epsilon=1e-3)
    channels = tf.reshape(tf.transpose(x, (1, 3, 0, 2)), (4, 5, 6))
    for _ in range(2):
        y, z = ours(x, training=training), theirs(channels, training=training)
    np.testing.assert_allclose(tf.transpose(tf.reshape(z, (4, 5, 3, 2)), (2, 0, 3, 1)), y, atol=1e-4)
    assert ours.gamma.shape == (3, 1, 2, 1)
    for mine, keras_own in zip(ours.weights, theirs.weights, strict=True):
        np.testing.assert_allclose(np.ravel(mine), keras_own, rtol=1e-4)
