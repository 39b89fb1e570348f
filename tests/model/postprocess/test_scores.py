# SPDX-License-Identifier: Apache-2.0
"""Scores of instances against their definition in numpy, and against those of the reference."""

import functools
import json

import hypothesis
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import strategies as st

import shared
import synthetic
from panpipe.custom_ops import kernels
from panpipe.model import labels as label_codec
from panpipe.model import tensors
from panpipe.model.postprocess import scores

SMALL = synthetic.SMALL


@pytest.fixture(params=[True, False], ids=['op', 'twin'])
def instances(request):
    """Gives `scores.instances` bound to the op or to its twin."""
    if request.param and not kernels.op_available():
        pytest.fail('the compiled op is missing: run `make op` first')
    return functools.partial(scores.instances, use_op=request.param)


def _prediction(panoptic, score, labels):
    semantic = labels.decode(panoptic)[0]
    things = panoptic[np.isin(semantic, labels.thing_ids)]
    number = np.searchsorted(np.unique(things), panoptic) + 1
    maps = (
        panoptic,
        semantic,
        np.where(np.isin(semantic, labels.thing_ids), number, 0).astype(np.int32),
        score,
    )
    return tensors.Prediction(*(tf.constant(part[None]) for part in maps))


def _expected(panoptic, probability, score, labels):
    found = {}
    for i in np.unique(panoptic):
        semantic = labels.decode(i)[0]
        if semantic in labels.thing_ids:
            mask = panoptic == i
            found[int(i)] = min(1.0, probability[mask, semantic].mean() * score[mask].mean())
    return found


@hypothesis.settings(deadline=None, suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture])
@hypothesis.given(seed=st.integers(0, 2**32 - 1))
def test_scores_follow_their_definition(instances, seed):
    rng = np.random.default_rng(seed)
    panoptic = synthetic.panoptic_map(rng, SMALL)
    probability = rng.random((*panoptic.shape, SMALL.num_classes), np.float32)
    score = rng.random(panoptic.shape, np.float32) * 1.5
    prediction = _prediction(panoptic, score, SMALL)
    ids, sure = instances(prediction, tf.constant(probability[None]), SMALL)
    expected = _expected(panoptic, probability, score, SMALL)
    assert ids.numpy().tolist() == list(expected)
    np.testing.assert_allclose(sure, list(expected.values()), rtol=1e-5)


def test_probabilities_are_interpolated_between_aligned_corners(instances):
    labels = label_codec.LabelSpec(2, (1,), 10, 255)
    panoptic = np.full((5, 9), 11, np.int32)
    corners = np.array([[0.0, 1.0], [0.5, 0.25]], np.float32)
    probability = np.stack([1 - corners, corners], -1)
    for y, x in np.ndindex(5, 9):
        one = np.where((np.indices((5, 9)) == [[[y]], [[x]]]).all(0), panoptic, 0).astype(np.int32)
        prediction = _prediction(one, np.ones((5, 9), np.float32), labels)
        _, (sure,) = instances(prediction, tf.constant(probability[None]), labels)
        upper = corners[0, 0] * (1 - x / 8) + corners[0, 1] * x / 8
        lower = corners[1, 0] * (1 - x / 8) + corners[1, 1] * x / 8
        assert float(sure) == pytest.approx(upper * (1 - y / 4) + lower * y / 4, abs=1e-6)


def test_without_centers_things_have_no_score(instances):
    labels = label_codec.LabelSpec(2, (1,), 10, 255)
    panoptic = np.array([[0, 11], [0, 11]], np.int32)
    prediction = _prediction(panoptic, np.zeros((2, 2), np.float32), labels)
    prediction = prediction._replace(instance=tf.zeros_like(prediction.panoptic))
    ids, sure = instances(prediction, tf.ones((1, 2, 2, 2)), labels)
    assert (ids.numpy().tolist(), sure.numpy().tolist()) == ([11], [0.0])


def test_an_image_without_things_has_no_scores(instances):
    panoptic = np.zeros((3, 4), np.int32)
    prediction = _prediction(panoptic, np.zeros((3, 4), np.float32), SMALL)
    ids, sure = instances(prediction, tf.zeros((1, 3, 4, SMALL.num_classes)), SMALL)
    assert ids.shape == sure.shape == (0,)


@hypothesis.settings(deadline=None)
@hypothesis.given(seed=st.integers(0, 2**32 - 1))
def test_the_op_equals_its_twin_bit_for_bit(seed):
    rng = np.random.default_rng(seed)
    height, width, rows, columns = rng.integers(1, 40, 4)
    panoptic = synthetic.panoptic_map(rng, SMALL, height, width)
    prediction = _prediction(panoptic, rng.random(panoptic.shape, np.float32), SMALL)
    if rng.random() < 0.3:  # no center anywhere, or void where there is one
        prediction = prediction._replace(instance=tf.zeros_like(prediction.instance))
    elif rng.random() < 0.5:
        void = tf.constant(rng.random((1, *panoptic.shape)) < 0.2)
        prediction = prediction._replace(panoptic=tf.where(void, SMALL.void, prediction.panoptic))
    probability = tf.constant(rng.random((1, rows, columns, SMALL.num_classes), np.float32))
    op, twin = (scores.instances(prediction, probability, SMALL, use_op=use_op) for use_op in (True, False))
    np.testing.assert_array_equal(op[0], twin[0])
    np.testing.assert_array_equal(op[1], twin[1])


def test_a_group_that_became_void_is_left_out(instances):
    labels = label_codec.LabelSpec(2, (1,), 10, 255)
    maps = [[[11, labels.void]], [[1, 1]], [[1, 2]], [[1.0, 1.0]]]
    prediction = tensors.Prediction(*(tf.constant([part]) for part in maps))
    ids, sure = instances(prediction, tf.ones((1, 1, 2, 2)), labels)
    assert (ids.numpy().tolist(), sure.numpy().tolist()) == ([11], [1.0])


@pytest.mark.parametrize(
    ('name', 'shape'), [('score', (1, 2, 3)), ('panoptic', (1, 2)), ('instance', (2, 2, 3, 1))]
)
def test_the_op_refuses_maps_that_differ(name, shape):
    prediction = _prediction(np.zeros((2, 2), np.int32), np.zeros((2, 2), np.float32), SMALL)
    changed = tf.zeros(shape, getattr(prediction, name).dtype)
    with pytest.raises((ValueError, tf.errors.InvalidArgumentError), match=r'must all be|rank|Dimension'):
        scores.instances(prediction._replace(**{name: changed}), tf.ones((1, 2, 2, SMALL.num_classes)), SMALL)


def test_scores_are_those_of_the_reference(instances):
    cases = sorted(shared.golden('metrics').glob('*.npz'))
    assert cases
    for path in cases:
        content = np.load(path)
        facts = json.loads(str(content['args_json']))
        labels = label_codec.LabelSpec(
            facts['num_classes'], tuple(facts['things_list']), facts['label_divisor'], facts['ignored_label']
        )
        probability = content['semantic_probability'].astype(np.float32)
        found = []
        for image, (panoptic, sure, score) in enumerate(
            zip(content['pred_panoptic'], probability, content['instance_score_map'], strict=True)
        ):
            ids, one = instances(
                _prediction(panoptic, score.astype(np.float32), labels), tf.constant(sure[None]), labels
            )
            found += [(image, i, v) for i, v in zip(labels.decode(ids.numpy())[0], one.numpy(), strict=True)]
        images = content['det_image'] - content['det_image'].min()
        listed = zip(images, content['det_category'], np.minimum(content['det_scores'], 1), strict=True)
        np.testing.assert_allclose(sorted(found), sorted(listed), rtol=1e-5)
