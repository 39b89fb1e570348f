# SPDX-License-Identifier: Apache-2.0
"""Computing activations again changes memory and time, and nothing else."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from panpipe.model.backbones import blocks, mobilenet_v3, plan
from panpipe.model.layers import composite, normalization, recompute

_NORM = normalization.BatchNorm(momentum=0.5)


def _residuals():
    style = blocks.Style(_NORM, has_se=True, has_sac=True, survival=lambda nominal: 0.5)
    places = plan.places(5, 3, 32)
    layers = [blocks.bottleneck((4, 4, 16), place, style, name=f'block{i}') for i, place in enumerate(places)]
    return composite.Stack([composite.Stack(layers, name='inner')], name='outer')


def _bottlenecks():
    return mobilenet_v3.MobileNetV3(mobilenet_v3.SMALL, _NORM, width_multiplier=0.25)


def _train(make, recomputes, steps=2):
    """Takes gradient steps; returns losses and the last gradients, and all states after that."""
    keras.utils.set_random_seed(0)
    encoder = make()
    images = tf.constant(np.random.default_rng(0).normal(size=(4, 33, 33, 3)), tf.float32)
    encoder(images)

    @tf.function
    def step():
        with tf.GradientTape() as tape, recompute.scope(encoder, recomputes):
            outputs = tf.nest.flatten(encoder(images, training=True))
            loss = tf.add_n([tf.reduce_mean(tf.square(output - 1)) for output in outputs])
        weights = [v.value for v in encoder.trainable_variables]
        gradients = tape.gradient(loss, weights)
        for weight, gradient in zip(weights, gradients, strict=True):
            weight.assign_sub(0.1 * gradient)
        return loss, gradients

    losses, gradients = [], None
    for _ in range(steps):
        loss, gradients = step()
        losses.append(float(loss))
    return losses, gradients, [v.numpy() for v in encoder.variables], step


@pytest.mark.parametrize('make', [_residuals, pytest.param(_bottlenecks, marks=pytest.mark.slow)])
def test_losses_gradients_and_states_are_the_same(make):
    expected, found = (_train(make, recomputes) for recomputes in (False, True))
    np.testing.assert_allclose(found[0], expected[0], rtol=1e-6)
    for ours, theirs in zip(found[1], expected[1], strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-6)
    for ours, theirs in zip(found[2], expected[2], strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-6)


@pytest.mark.slow
def test_blocks_are_really_computed_twice():
    kept, again = (_train(_residuals, recomputes, 1)[3] for recomputes in (False, True))

    def convolutions(step):
        graph = step.get_concrete_function().graph
        return sum(operation.type == 'Conv2D' for operation in graph.get_operations())

    assert convolutions(again) > 1.9 * convolutions(kept)


def test_outside_of_a_scope_a_block_is_called_as_it_is():
    calls = []

    class Block:
        def __call__(self, x, **options):
            calls.append(options)
            return x

    assert recompute.through(Block(), tf.ones(1)) == 1
    assert calls == [{}]
