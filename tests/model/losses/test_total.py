# SPDX-License-Identifier: Apache-2.0
"""The losses equal the reference's, values and gradients."""

import json

import numpy as np
import pytest
import tensorflow as tf

import shared
from panpipe.model import config, labels, tensors
from panpipe.model.losses import hardest, pixel, total

LABELS = labels.LabelSpec(19, tuple(range(11, 19)), 1000, 255)
NAMES = ('00_topk20', '02_all_pixels', '04_zero_weights', '05_all_ignore', '07_strided_pred')


def _options(top_k=(0.2, 1.0, 1.0), weights=(1.0, 200.0, 0.01)):
    return config.LossOptions(
        semantic_loss=config.SingleLossOptions('softmax_cross_entropy', weights[0], top_k[0]),
        center_loss=config.SingleLossOptions('mse', weights[1], top_k[1]),
        regression_loss=config.SingleLossOptions('l1', weights[2], top_k[2]),
    )


@pytest.mark.parametrize('name', NAMES)
def test_equals_reference(name):
    with np.load(shared.golden('losses') / f'{name}.npz') as file:
        z = dict(file)
    args = json.loads(str(z['args_json']))
    options = _options(
        [args[f'{k}_top_k'] for k in ('semantic', 'center', 'regression')],
        [args['weights'][k] for k in ('semantic', 'center', 'regression')],
    )
    targets = tensors.Targets(
        z['gt_semantic_gt'],
        z['gt_semantic_loss_weight'],
        z['gt_instance_center_gt'],
        z['gt_center_loss_weight'],
        z['gt_instance_regression_gt'],
        z['gt_regression_loss_weight'],
    )
    targets = tensors.Targets(*map(tf.convert_to_tensor, targets))
    heads = [
        tf.Variable(z['pred_semantic_logits']),
        tf.Variable(z['pred_center_heatmap'][..., None]),
        tf.Variable(z['pred_offset_map']),
    ]
    with tf.GradientTape() as tape:
        losses = total.loss(tensors.Heads(*map(tf.convert_to_tensor, heads)), targets, options, LABELS)
        objective = tf.reduce_mean(losses['total'])
    gradients = tape.gradient(objective, heads)
    for part in ('semantic', 'center', 'regression', 'total'):
        np.testing.assert_allclose(losses[part], z[f'loss_{part}_loss'], rtol=1e-5, atol=1e-7)
    expected = (z['grad_semantic_logits'], z['grad_center_heatmap'][..., None], z['grad_offset_map'])
    for ours, theirs in zip(gradients, expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-7)


def test_drawn_numbers():
    """Values that the reference gives for numbers drawn in a fixed order (2 × 33 × 65, 19 classes)."""
    rng, shape = np.random.RandomState(7), (2, 33, 65)
    logits, heat, offset = rng.randn(*shape, 19), rng.rand(*shape), rng.randn(*shape, 2) * 5
    semantic = rng.randint(0, 20, shape)
    semantic[semantic == 19] = 255
    weight = np.where(rng.rand(*shape) < 0.2, 3, 1)
    center, center_weight = rng.rand(*shape), rng.rand(*shape) < 0.8
    offset_target, offset_weight = rng.randint(-9, 10, (*shape, 2)), rng.rand(*shape) < 0.3
    heads = tensors.Heads(*(tf.constant(x, tf.float32) for x in (logits, heat[..., None], offset)))
    floats = (weight, center, center_weight, offset_target, offset_weight)
    targets = tensors.Targets(
        tf.constant(semantic, tf.int32), *(tf.constant(x.astype(np.float32)) for x in floats)
    )
    losses = total.loss(heads, targets, _options(), LABELS)
    np.testing.assert_allclose(losses['center'], [34.821175, 33.835133], rtol=1e-6)
    np.testing.assert_allclose(losses['regression'], [0.0609762, 0.0596884], rtol=1e-5)
    np.testing.assert_allclose(losses['semantic'], [10.323732, 9.834312], rtol=1e-6)
    np.testing.assert_allclose(losses['total'], [45.205887, 43.729134], rtol=1e-6)


@pytest.mark.parametrize(('fraction', 'expected'), [(1.0, 7 / 3), (0.5, 3.0)])
def test_zero_losses_leave_the_average(fraction, expected):
    losses = tf.constant([[[1.0, 2.0], [0.0, 4.0]]])
    np.testing.assert_allclose(hardest.mean_of_hardest(losses, fraction), [expected], rtol=1e-6)


def test_the_share_of_pixels_is_rounded_in_float32():
    # 0.1 of 33 x 65 pixels is 214.5 in float32, which goes to the even 214, and a little more in float64.
    losses = tf.reshape(tf.range(1, 33 * 65 + 1, dtype=tf.float32), (1, 33, 65))
    assert float(hardest.mean_of_hardest(losses, 0.1)[0]) == (33 * 65 + 33 * 65 - 213) / 2


def test_one_row_is_enough():
    heads = tensors.Heads(tf.zeros((1, 1, 5, 19)), tf.zeros((1, 1, 5, 1)), tf.zeros((1, 1, 5, 2)))
    ones = tf.ones((1, 1, 5))
    targets = tensors.Targets(tf.zeros((1, 1, 5), tf.int32), ones, ones, ones, tf.ones((1, 1, 5, 2)), ones)
    losses = total.loss(heads, targets, _options(), LABELS)
    assert float(losses['semantic'][0]) == pytest.approx(np.log(19))


def test_labels_outside_the_classes_cost_nothing():
    losses = pixel.softmax_cross_entropy(tf.zeros([1, 1, 3, 19]), tf.constant([[[255, -1, 3]]]))
    np.testing.assert_allclose(losses, [[[0, 0, np.log(19)]]], rtol=1e-6)


def test_instance_losses_need_the_instance_branch():
    targets = tensors.Targets(*(tf.zeros([1, 2, 2], tf.int32), *(tf.zeros([1, 2, 2]),) * 5))
    with pytest.raises(ValueError, match='instance branch'):
        total.loss(tensors.Heads(tf.zeros([1, 2, 2, 19]), None, None), targets, _options(), LABELS)
