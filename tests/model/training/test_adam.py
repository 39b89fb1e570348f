# SPDX-License-Identifier: Apache-2.0
"""The fused kernel moves weights as Keras's own Adam does."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from panpipe.model.training import adam


def _moved(optimizer, gradients, traced):
    variables = [keras.Variable(np.linspace(-1, 1, 6).reshape(2, 3), name='kernel'), keras.Variable([0.5])]
    optimizer.build(variables)

    def step(kernel, bias):
        optimizer.apply([kernel, bias], variables)

    step = tf.function(step) if traced else step
    for kernel, bias in gradients:
        step(tf.constant(kernel), tf.constant(bias))
    return [np.array(v) for v in (*variables, *optimizer.variables)]


@pytest.mark.parametrize('decay', [None, 0.1])
@pytest.mark.parametrize('traced', [False, True])
def test_weights_moments_and_steps_are_those_of_keras(traced, decay):
    rng = np.random.default_rng(0)
    gradients = [(rng.normal(size=(2, 3)).astype('f'), rng.normal(size=1).astype('f')) for _ in range(5)]
    ours = _moved(adam.FusedAdam(0.01, weight_decay=decay), gradients, traced)
    theirs = _moved(keras.optimizers.Adam(0.01, weight_decay=decay), gradients, traced)
    assert len(ours) == len(theirs)
    for mine, yours in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(mine, yours, rtol=2e-6, atol=1e-7)
    assert abs(ours[0] - np.linspace(-1, 1, 6).reshape(2, 3)).min() > 1e-3


def test_it_compiles_under_xla():
    variable = keras.Variable([1.0, 2.0])
    optimizer = adam.FusedAdam(0.1)
    optimizer.build([variable])

    @tf.function(jit_compile=True)
    def step(gradient):
        optimizer.apply([gradient], [variable])

    step(tf.constant([3.0, -4.0]))
    np.testing.assert_allclose(variable.numpy(), (0.9, 2.1), rtol=1e-5)
