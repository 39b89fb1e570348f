# SPDX-License-Identifier: Apache-2.0
"""Features of one segment attract each other, those of two repel each other: against numpy."""

import numpy as np
import pytest
import tensorflow as tf

from panpipe.model.losses import instance_discrimination, truths

ROW = np.array([0, 0, 1, 1, 1, 2, -1])  # of seven pixels; rows 0 and 1 are things, row 2 is stuff
TRUTH = truths.Truths(
    row=tf.constant(ROW[None]),
    is_valid=tf.constant((ROW >= 0)[None]),
    channel=tf.constant([[0, 0, 1]]),
    area=tf.constant([[2.0, 3.0, 1.0]]),
)


def _features(seed=0):
    feature = np.random.default_rng(seed).normal(size=(7, 4))
    return feature / np.linalg.norm(feature, axis=-1, keepdims=True)


def _batch(array):
    return tf.constant(array, tf.float32)[None]


def _log_softmax(logits):
    return logits - np.log(np.exp(logits).sum(-1, keepdims=True))


def test_pairs_are_contrasted():
    feature, chosen = _features(), np.array([0, 2, 1, 3])
    is_same = (ROW[chosen][:, None] == ROW[chosen]).astype(float)
    log = _log_softmax(feature[chosen] @ feature[chosen].T / 0.3)
    expected = -(is_same / is_same.sum(-1, keepdims=True) * log).sum(-1).mean()
    found = instance_discrimination.of_pairs(_batch(feature), TRUTH, tf.constant(chosen[None]))
    assert float(found[0]) == pytest.approx(expected, rel=1e-5)


def test_things_are_contrasted_with_the_means_of_all_segments():
    feature = _features()
    means = np.stack([feature[row == ROW].mean(0) for row in range(3)])
    means /= np.linalg.norm(means, axis=-1, keepdims=True)
    log = _log_softmax(feature @ means.T / 0.3)
    expected = -np.mean([log[pixel, ROW[pixel]] for pixel in range(5)])
    found = instance_discrimination.of_means(_batch(feature), TRUTH, 2)
    assert float(found[0]) == pytest.approx(expected, rel=1e-4)


def test_alike_features_of_a_segment_cost_less():
    alike = np.eye(4)[np.maximum(ROW, 0)]
    losses = [instance_discrimination.of_means(_batch(each), TRUTH, 2)[0] for each in (alike, _features())]
    assert losses[0] < losses[1]


def test_at_temperature_1_all_segments_are_equally_likely_to_be_drawn():
    odds = np.exp(instance_discrimination.preference(TRUTH, 1.0)[0])
    np.testing.assert_allclose([odds[row == ROW].sum() for row in range(3)], odds[5], rtol=1e-5)
    assert odds[6] == 0  # void
    even = np.exp(instance_discrimination.preference(TRUTH, 0.0)[0])
    np.testing.assert_allclose(even, [1, 1, 1, 1, 1, 1, 0])


def test_pixels_are_drawn_without_replacement_and_again_for_the_same_key():
    logits = tf.constant([[0.0, -99999.0, 1.0, 0.0, 3.0]] * 2)
    key = tf.constant([[1, 2], [3, 4]])
    drawn = instance_discrimination.draw(logits, 4, key).numpy()
    assert [sorted(row) for row in drawn.tolist()] == [[0, 2, 3, 4]] * 2  # not the one that never is
    np.testing.assert_array_equal(drawn, instance_discrimination.draw(logits, 4, key))
