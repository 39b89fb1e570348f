# SPDX-License-Identifier: Apache-2.0
"""True segments get the slots whose masks and classes fit best; losses of what is assigned, in numpy."""

import numpy as np
import pytest
import tensorflow as tf

from panpipe.model import tensors
from panpipe.model.losses import assignment, hardest, mask_id, matching, pq_style, truths

# Pixels 0, 1 are of row 0, pixels 2, 3 of row 1, pixel 4 is void; the rows' classes are 0 and 1 of three.
TRUTH = truths.Truths(
    row=tf.constant([[0, 0, 1, 1, -1]]),
    is_valid=tf.constant([[True, True, True, True, False]]),
    channel=tf.constant([[0, 1]]),
    area=tf.constant([[2.0, 2.0]]),
)
SURE = 20.0


def _heads(masks, classes):
    """Makes heads of an image of one row of pixels: logits [pixels, slots] and [slots, classes + 1]."""
    masks, classes = (tf.constant(each, tf.float32)[None] for each in (masks, classes))
    return tensors.MaskHeads(masks[:, None], classes, masks, None)


def _assign(masks, classes, truth=TRUTH):
    return assignment.assign(_heads(masks, classes), truth, matching.exact)


# Slot 2 shows row 0 and says its class; slot 0 shows row 1 and says its class; slot 1 shows what is void.
MASKS = SURE * np.array([[0, 0, 1], [0, 0, 1], [1, 0, 0], [1, 0, 0], [0, 1, 0]])
CLASSES = SURE * np.array([[0, 1, 0], [0, 0, 1], [1, 0, 0]])


def test_each_segment_gets_the_slot_that_shows_it():
    found = _assign(MASKS, CLASSES)
    np.testing.assert_array_equal(found.target[0], np.eye(3)[[2, 2, 0, 0, 1]] * [[1], [1], [1], [1], [0]])
    np.testing.assert_array_equal(found.is_valid[0], [1, 1, 1, 1, 0])
    np.testing.assert_array_equal(found.channel[0], [1, 2, 0])  # class 2 is void
    np.testing.assert_array_equal(found.is_matched[0], [True, False, True])
    np.testing.assert_allclose(found.dice[0], [1, 0, 1], atol=1e-4)
    np.testing.assert_allclose(found.certainty[0], [1, 0, 1], atol=1e-4)
    np.testing.assert_allclose(found.void_share[0], [0, 1, 0], atol=1e-4)


def test_of_equal_masks_the_one_of_the_right_class_is_taken():
    masks = SURE * np.array([[1, 1, 0], [1, 1, 0], [0, 0, 1], [0, 0, 1], [0, 0, 0]])
    found = _assign(masks, SURE * np.array([[0, 0, 1], [1, 0, 0], [0, 1, 0]]))
    np.testing.assert_array_equal(found.is_matched[0], [False, True, True])


def test_without_slots_for_all_the_largest_segments_get_them():
    larger = TRUTH._replace(row=tf.constant([[0, 1, 1, 1, -1]]), area=tf.constant([[1.0, 3.0]]))
    found = _assign(MASKS[:, :1], CLASSES[:1], larger)
    np.testing.assert_array_equal(found.is_valid[0], [0, 1, 1, 1, 0])
    np.testing.assert_array_equal(found.channel[0], [1])


def test_no_gradient_flows_into_the_assignment():
    masks = tf.Variable(MASKS, dtype=tf.float32)
    with tf.GradientTape() as tape:
        found = assignment.assign(_heads(masks, CLASSES), TRUTH, matching.exact)
        total = sum(tf.reduce_sum(part) for part in (found.dice, found.certainty, found.void_share))
    assert tape.gradient(total, masks) is None


def _log_softmax(logits):
    return logits - np.log(np.exp(logits).sum(-1, keepdims=True))


@pytest.fixture
def drawn():
    rng = np.random.default_rng(0)
    masks, classes = rng.normal(size=(5, 3)), rng.normal(size=(3, 3))
    return masks, classes, _assign(masks, classes)


def _tensor(array):
    return tf.constant(array, tf.float32)[None]


def test_mask_id_loss_is_the_cross_entropy_of_valid_pixels(drawn):
    masks, _, found = drawn
    losses = -(np.array(found.target[0]) * _log_softmax(masks)).sum(-1)[:4]
    found = mask_id.cross_entropy(_tensor(masks), found, 1.0)
    assert float(found[0]) == pytest.approx(losses.mean(), rel=1e-5)


def test_pq_style_loss_of_classes_weighs_by_the_fit(drawn):
    _, classes, found = drawn
    losses = -_log_softmax(classes)[np.arange(3), found.channel[0]]
    weight = np.where(found.is_matched[0], 0.75 * found.dice[0], 0.25 * found.void_share[0])
    expected = (losses * weight).mean()
    assert float(pq_style.class_term(_tensor(classes), found)[0]) == pytest.approx(expected, rel=1e-5)


def test_pq_style_loss_of_masks_weighs_by_the_class(drawn):
    masks, _, found = drawn
    probability, target = np.exp(_log_softmax(masks)), np.array(found.target[0])
    is_member = target.sum(-1)
    common, area = (probability * target).sum(0), target.sum(0)
    covered = (probability * is_member[:, None]).sum(0)
    losses = 1 - (2 * common + 1) / (covered + area + 1)
    is_matched, certainty = np.array(found.is_matched[0]), np.array(found.certainty[0])
    expected = (losses * certainty)[is_matched].sum() * 0.75 / 3
    assert float(pq_style.mask_dice_term(_tensor(masks), found)[0]) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(('fraction', 'kept'), [(1.0, [4, 2, 1, 1]), (0.5, [4, 2, 1, 1]), (0.2, [4, 2])])
def test_the_hardest_pixels_are_averaged_over_those_that_are_not_zero(fraction, kept):
    losses = tf.constant([[[0.0, 1.0, 4.0, 0.0, 0.0], [2.0, 0.0, 0.0, 1.0, 0.0]]])
    assert float(hardest.mean_of_hardest(losses, fraction)[0]) == pytest.approx(np.mean(kept))
