# SPDX-License-Identifier: Apache-2.0
"""The surest slots and their masks."""

import numpy as np
import tensorflow as tf

from panpipe.model.postprocess import slots, surest_slots


def test_sure_of_class_and_mask():
    """Slot 0 is sure of its class but has no mask, slot 2 has one but no class; slot 1 has both."""
    logits = np.zeros((1, 2, 3, 4), np.float32)
    logits[0, 0, :, 1] = 9
    logits[0, 1, :, 2] = 9
    confidence = tf.constant([[1.0, 0.9, 0.2, 0.5]])
    described = slots.Slots(tf.zeros((1, 4), tf.int32), confidence, tf.constant([[1, 2, 3, 4]]))
    found = surest_slots.find(described, tf.constant(logits), 3)
    assert found.slot.numpy()[0, :2].tolist() == [1, 2]
    probability = tf.nn.softmax(logits).numpy()
    np.testing.assert_allclose(found.mask, np.take(probability, found.slot[0], 3), rtol=1e-5)
    sure = probability[0, 0, 0, 1] * confidence[0, 1]
    np.testing.assert_allclose(found.sureness[0, 0], sure, rtol=1e-5)
    assert found.sureness.numpy()[0, 2] == 0


def test_no_more_than_there_are():
    described = slots.Slots(tf.zeros((2, 3), tf.int32), tf.ones((2, 3)), tf.constant([[1, 2, 3]] * 2))
    found = surest_slots.find(described, tf.random.normal((2, 4, 5, 3)), 10)
    assert sorted(found.slot[1].numpy()) == [0, 1, 2]
    np.testing.assert_allclose(tf.reduce_sum(found.mask, -1), np.ones((2, 4, 5)), rtol=1e-5)
