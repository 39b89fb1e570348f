# SPDX-License-Identifier: Apache-2.0
"""Metrics against a brute-force oracle, the reference's outputs and their own laws."""

import doctest
import functools
import json
import operator

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

import shared
from panpipe.model import labels
from panpipe.model.metrics import quality

SPEC = labels.LabelSpec(num_classes=4, thing_ids=(1, 3), label_divisor=10, ignore_label=9)
CITYSCAPES = labels.LabelSpec(19, tuple(range(11, 19)), 1000, 255)
IDS = st.sampled_from([0, 10, 11, 12, 20, 30, 31, 32, 90])
MAPS = npst.arrays(np.int32, (3, 5), elements=IDS)
PAIRS = st.tuples(MAPS, MAPS)
FILES = ('00_cs_perfect', '01_cs_mild', '04_coco_mild', '06_cs_crowd')


def _panoptic(pair, spec=SPEC):
    return quality.PanopticQuality.from_maps(*pair, spec)


def _semantic(pair, spec=SPEC):
    return quality.ConfusionMatrix.from_maps(
        pair[0] // spec.label_divisor, pair[1] // spec.label_divisor, spec
    )


def _judge(truth, prediction, spec):
    """Counts by the letter of the paper and of the crowd rule, segment by segment, on boolean masks."""
    counts = {name: np.zeros(spec.num_classes) for name in ('iou', 'tp', 'fn', 'fp')}
    void = truth // spec.label_divisor == spec.ignore_label
    crowd = np.isin(truth, [i * spec.label_divisor for i in spec.thing_ids])
    missed = set(np.unique(truth[~void & ~crowd]))
    wrong = set(np.unique(prediction[prediction // spec.label_divisor != spec.ignore_label]))
    for t in sorted(missed):
        for p in sorted(wrong):
            a, b = truth == t, (prediction == p) & ~void
            same = t // spec.label_divisor == p // spec.label_divisor
            if same and (iou := (a & b).sum() / (a | b).sum()) > 0.5:
                counts['iou'][t // spec.label_divisor] += iou
                counts['tp'][t // spec.label_divisor] += 1
                missed.discard(t)
                wrong.discard(p)
    for t in missed:
        counts['fn'][t // spec.label_divisor] += 1
    for p in wrong:
        same_crowd = crowd & (truth // spec.label_divisor == p // spec.label_divisor)
        if ((void | same_crowd) & (prediction == p)).sum() <= (prediction == p).sum() / 2:
            counts['fp'][p // spec.label_divisor] += 1
    return counts


@hypothesis.given(PAIRS)
def test_panoptic_equals_brute_force(pair):
    counts = _judge(*pair, SPEC)
    result = _panoptic(pair).result()
    for i, one in enumerate(result.per_class):
        tp, fn, fp = (counts[name][i] for name in ('tp', 'fn', 'fp'))
        assert (one.true_positives, one.false_negatives, one.false_positives) == (tp, fn, fp)
        assert one.pq == pytest.approx(counts['iou'][i] / max(tp + (fn + fp) / 2, 0.5))
        assert one.sq == pytest.approx(counts['iou'][i] / max(tp, 1))
    valid = [one.pq for one in result.per_class if one.is_valid]
    assert result.pq == pytest.approx(np.mean(valid) if valid else 0)
    assert result.num_classes == len(valid) == result.things.num_classes + result.stuff.num_classes


@hypothesis.given(PAIRS)
def test_confusion_equals_brute_force(pair):
    truth, prediction = (one // SPEC.label_divisor for one in pair)
    counted = truth != SPEC.ignore_label
    ious = {}
    for i in range(SPEC.num_classes):
        a, b = (truth == i) & counted, (prediction == i) & counted
        if (a | b).any():
            ious[i] = (a & b).sum() / (a | b).sum()
    result = _semantic(pair).result()
    assert result.miou == pytest.approx(np.mean(list(ious.values())) if ious else 0)
    assert {i: v for i, v in enumerate(result.per_class) if not np.isnan(v)} == pytest.approx(ious)


@pytest.mark.parametrize(
    ('kind', 'count'), [(quality.PanopticQuality, _panoptic), (quality.ConfusionMatrix, _semantic)]
)
@hypothesis.given(st.lists(PAIRS, min_size=3, max_size=6), st.randoms())
def test_joining_is_exact_in_any_order(kind, count, pairs, random):
    counts = [count(pair) for pair in pairs]
    a, b, c = counts[:3]
    assert a + b == b + a
    assert (a + b) + c == a + (b + c)
    assert a + kind.zero(SPEC) == a
    total = functools.reduce(operator.add, counts)
    random.shuffle(counts)
    assert functools.reduce(operator.add, counts) == total


@hypothesis.given(MAPS)
def test_a_map_agrees_with_itself(panoptic):
    result = _panoptic((panoptic, panoptic)).result()
    is_segment = ~np.isin(panoptic, [90, 10, 30])
    assert result.pq == result.sq == result.rq == float(is_segment.any())
    assert _semantic((panoptic, panoptic)).result().miou == float((panoptic != 90).any())


@hypothesis.given(PAIRS, st.permutations(range(1, 10)))
def test_renaming_instances_changes_nothing(pair, names):
    truth, prediction = pair
    new = np.array([0, *names])[prediction % 10]
    assert _panoptic((truth, prediction // 10 * 10 + new)) == _panoptic(pair)


def test_crowd_and_void_are_forgiving():
    truth = np.array([[10, 10, 10, 90], [10, 0, 0, 0]], np.int32)
    # 12 lies in crowd of its class, 31 half in crowd of another class, half in void.
    prediction = np.array([[12, 12, 31, 31], [12, 0, 0, 0]], np.int32)
    one, three = (_panoptic((truth, prediction)).result().per_class[i] for i in (1, 3))
    assert not one.is_valid
    assert three.false_positives == 1


@pytest.mark.parametrize('dtype', [np.uint8, np.int16, np.uint16, np.int32, np.int64])
def test_maps_may_be_of_any_integers(dtype):
    spec = labels.LabelSpec(19, (18,), 10, 255)
    classes = np.array([[0, 13, 18, 255]], dtype)
    assert quality.ConfusionMatrix.from_maps(classes, classes, spec).result().miou == 1
    if dtype is not np.uint8:
        panoptic = np.array([[0, 130, 181, 2550]], dtype)
        assert quality.PanopticQuality.from_maps(panoptic, panoptic, spec).result().pq == 1


def test_predicted_void_is_a_missed_pixel_only():
    matrix = quality.ConfusionMatrix.from_maps(np.array([[0, 0, 1, 9]]), np.array([[0, 255, 1, 1]]), SPEC)
    assert matrix.result().per_class[:2].tolist() == [0.5, 1.0]
    assert matrix.counts[0, -1] == 1


@pytest.mark.parametrize('name', FILES)
def test_equals_the_reference(name):
    facts = np.load(shared.golden('metrics') / f'{name}.npz')
    given_labels = json.loads(str(facts['args_json']))
    spec = labels.LabelSpec(
        given_labels['num_classes'],
        tuple(given_labels['things_list']),
        given_labels['label_divisor'],
        given_labels['ignored_label'],
    )
    panoptic, semantic = quality.PanopticQuality.zero(spec), quality.ConfusionMatrix.zero(spec)
    probability = facts['semantic_probability'].astype(np.float32)
    for truth, prediction, scores in zip(
        facts['gt_panoptic'], facts['pred_panoptic'], probability, strict=True
    ):
        panoptic += _panoptic((truth, prediction), spec)
        classes = spec.decode(truth)[0]
        semantic += quality.ConfusionMatrix.from_maps(classes, scores.argmax(-1), spec)
    np.testing.assert_array_equal(semantic.counts[:, :-1], facts['confusion_matrix'])
    assert semantic.result().miou == pytest.approx(float(facts['miou']), rel=1e-6)
    if not facts['is_crowd_map'].any():  # the reference judges crowd like any other segment
        result = panoptic.result()
        np.testing.assert_allclose([result.pq, result.sq, result.rq], facts['pq_result'][:3], rtol=1e-6)
        for row, counted in enumerate(('tp', 'fn', 'fp')):
            np.testing.assert_array_equal(panoptic.counts[row], facts[f'pq_{counted}_per_class'])


def _discs(shift):
    """Draws road, sky, cars, persons and a bicycle; the prediction is the truth with its discs shifted."""
    y, x = np.mgrid[:60, :80]
    panoptic = np.where(y < 20, 10000, 0)
    discs = (
        (30, 15, 9, 13001),
        (35, 40, 12, 13002),
        (45, 65, 8, 11001),
        (25, 70, 5, 11002),
        (50, 30, 6, 17001),
    )
    for i, (cy, cx, radius, panoptic_id) in enumerate(discs):
        inside = (y - cy - shift * (i % 3)) ** 2 + (x - cx + shift * (i % 2)) ** 2 <= radius**2
        panoptic[inside] = panoptic_id
    return panoptic


def test_a_scene_by_known_numbers():
    """The reference counts the crowd 12000 as missed, for a PQ of 0.6151804; officially it is not."""
    truth, prediction = _discs(0), _discs(2)
    truth[0:5, 0:30], truth[55:, 0:20] = 255000, 12000
    prediction[57:, 60:], prediction[20:24, 0:6], prediction[1:4, 2:20] = 255000, 13003, 16001
    panoptic = _panoptic((truth, prediction), CITYSCAPES)
    assert np.flatnonzero(panoptic.counts[0]).tolist() == [0, 10, 11, 13, 17]
    assert panoptic.counts[0].sum() == 7
    assert not panoptic.counts[1].any()
    assert np.flatnonzero(panoptic.counts[2]).tolist() == [13]
    ious = {
        i: one.sq * one.true_positives for i, one in enumerate(panoptic.result().per_class) if one.is_valid
    }
    assert ious == pytest.approx({0: 0.78022, 10: 1, 11: 1.127216, 13: 1.744048, 17: 0.649635}, abs=1e-5)
    assert panoptic.result().pq == pytest.approx(0.6151804 * 6 / 5, rel=1e-6)
    semantic = quality.ConfusionMatrix.from_maps(
        truth // 1000, np.where(prediction == 255000, 0, prediction) // 1000, CITYSCAPES
    )
    assert semantic.result().miou == pytest.approx(0.6343811, rel=1e-6)


@pytest.mark.parametrize(
    ('truth', 'prediction', 'words'),
    [
        ([[0, 0]], [[0]], r'shape \(1, 2\), prediction \(1, 1\)'),
        ([[-10]], [[0]], '-10 is negative'),
        ([[0]], [[40]], 'class 4 is not one of 0 .. 3'),
    ],
)
def test_misuse_is_refused(truth, prediction, words):
    with pytest.raises(ValueError, match=words):
        _panoptic((np.array(truth), np.array(prediction)))


def test_other_classes_do_not_add_up():
    with pytest.raises(ValueError, match='different classes'):
        quality.PanopticQuality.zero(SPEC) + quality.PanopticQuality.zero(CITYSCAPES)
    with pytest.raises(ValueError, match='cannot add'):
        quality.ConfusionMatrix.zero(SPEC) + quality.ConfusionMatrix.zero(CITYSCAPES)


def test_the_documented_example_holds():
    assert doctest.testmod(quality).failed == 0
