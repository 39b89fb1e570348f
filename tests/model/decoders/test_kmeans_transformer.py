# SPDX-License-Identifier: Apache-2.0
"""A layer of the k-means transformer equals the reference's, and gathers what it says."""

import json

import numpy as np
import pytest
import tensorflow as tf

import shared
import weights
from panpipe.model import checkpoints
from panpipe.model.decoders import kmeans_transformer, mask_prediction
from panpipe.model.layers import convolution, normalization

_NORM = normalization.BatchNorm(is_synchronized=True)
_PREDICTION = mask_prediction.Sizes(256, 128, 134, convolution.separable)
_OUTPUTS = ('pixel_space_mask_logits', 'transformer_class_logits', 'pixel_space_normalized_feature')


@pytest.fixture(scope='module')
def golden():
    arrays = np.load(shared.golden('kmax') / 'layer/00_layer2_stride16.npz', allow_pickle=False)
    return arrays, json.loads(str(arrays['args_json']))


@pytest.fixture
def layer(golden):
    """The layer with drawn weights, and its variables by the reference's names below the layer."""
    arrays, facts = golden
    made = kmeans_transformer.KMeansLayer(
        kmeans_transformer.Sizes(128), _PREDICTION, _NORM, name='block1_transformer'
    )
    made(*_inputs(arrays))
    named = {}
    for variable in made.weights:
        inner = checkpoints.path_key(variable.path).split('/', 1)[1]
        named[inner] = variable
        variable.assign(weights.mask_value(facts['key_prefix'] + inner, tuple(variable.shape)))
    return made, named


def _inputs(arrays):
    centers = tf.constant(arrays['in_centers'].astype(np.float32))[:, None]
    return tf.constant(arrays['in_pixel'].astype(np.float32)), centers


def test_inference_equals_the_reference(layer, golden):
    arrays, _ = golden
    centers, heads = layer[0](*_inputs(arrays))
    np.testing.assert_allclose(centers[:, 0], arrays['eval_centers'], atol=1e-4)
    np.testing.assert_array_equal(np.argmax(heads.mask_logits, -1), arrays['eval_assign'])
    for name, head in zip(_OUTPUTS, heads[:3], strict=True):
        np.testing.assert_allclose(head, arrays[f'eval_{name}'], atol=1e-4)


def test_a_training_step_equals_the_reference(layer, golden):
    """Outputs, gradients by inputs and variables, and what becomes of moving statistics."""
    (made, named), (arrays, facts) = layer, golden
    before = {name: np.array(v) for name, v in named.items() if not v.trainable}
    pixels, centers = _inputs(arrays)
    random = np.random.RandomState(31)
    with tf.GradientTape() as tape:
        tape.watch((pixels, centers))
        new, heads = made(pixels, centers, training=True)
        outputs = (new[:, 0], *heads[:3])
        draws = [random.normal(0, 1, x.shape).astype(np.float32) for x in outputs]
        objective = tf.add_n([tf.reduce_sum(x * draw) for x, draw in zip(outputs, draws, strict=True)])
    trained = {name: v for name, v in named.items() if v.trainable}
    by_pixels, by_centers, *gradients = tape.gradient(
        objective, [pixels, centers, *(v.value for v in trained.values())]
    )
    np.testing.assert_allclose(outputs[0], arrays['train_centers'], atol=1e-4)
    for name, head in zip(_OUTPUTS, heads[:3], strict=True):
        np.testing.assert_allclose(head, arrays[f'train_{name}'], atol=1e-4)
    for ours, name in ((by_pixels, 'grad_pixel'), (by_centers[:, 0], 'grad_centers')):
        np.testing.assert_allclose(ours, arrays[name], atol=1e-5 * np.abs(arrays[name]).max())
    norms, floor = facts['gradient_norms'], 1e-4 * max(facts['gradient_norms'].values())
    assert set(norms) == set(trained)
    for name, gradient in zip(trained, gradients, strict=True):
        np.testing.assert_allclose(tf.norm(gradient), norms[name], rtol=1e-4, atol=floor, err_msg=name)
    for name, (change, norm) in facts['moving_change_and_norm'].items():
        value = np.array(named[name])
        np.testing.assert_allclose(np.abs(value - before[name]).sum(), change, rtol=2e-3, atol=1e-5)
        np.testing.assert_allclose(np.linalg.norm(value), norm, rtol=1e-4)


def test_the_first_of_equally_likely_slots_has_the_pixel():
    logits = tf.constant([[[[1.0, 3.0, 3.0], [2.0, 2.0, 2.0]]]])
    np.testing.assert_array_equal(kmeans_transformer.assign(logits), [[[[0, 1, 0], [1, 0, 0]]]])


def test_slots_gather_sums_and_those_without_pixels_nothing():
    values = tf.constant([[[[1.0, 10.0], [2.0, 20.0], [4.0, 40.0]]]])
    assignment = tf.one_hot([[[2, 0, 2]]], 4)
    expected = [[[[2, 20], [0, 0], [5, 50], [0, 0]]]]
    np.testing.assert_array_equal(kmeans_transformer.gather(values, assignment), expected)


def test_a_fresh_layer_changes_centers_by_activation_alone():
    sizes = kmeans_transformer.Sizes(3, channels=8, key=8, num_heads=2, hidden=16)
    prediction = mask_prediction.Sizes(8, 4, 5, convolution.separable)
    made = kmeans_transformer.KMeansLayer(sizes, prediction, _NORM)
    centers = tf.random.stateless_normal((2, 1, 3, 8), (0, 0))
    new, _ = made(tf.random.stateless_normal((2, 5, 7, 6), (0, 1)), centers, training=True)
    np.testing.assert_allclose(new, tf.nn.gelu(tf.nn.gelu(centers)), atol=1e-6)
