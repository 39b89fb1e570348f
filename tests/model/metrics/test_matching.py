# SPDX-License-Identifier: Apache-2.0
"""Segments match as panoptic quality has it: one to one, whatever they are called and wherever they lie."""

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from panpipe.model import labels
from panpipe.model.metrics import matching, overlaps

SPEC = labels.LabelSpec(num_classes=3, thing_ids=(1, 2), label_divisor=10, ignore_label=9)
IDS = st.sampled_from([0, 10, 11, 12, 20, 21, 90])
MAPS = npst.arrays(np.int32, (3, 4), elements=IDS)
FEWER = hypothesis.settings(deadline=None, max_examples=30)


def _match(truth, prediction, spec=SPEC, limit=1.0):
    truth_ids, predicted_ids, joint = overlaps.between(truth, prediction)
    return truth_ids, predicted_ids, matching.Matching.of(truth_ids, predicted_ids, joint, spec, limit)


def _pairs(truth, prediction):
    """Returns the matched pairs of ids, with their IoUs."""
    truth_ids, predicted_ids, found = _match(truth, prediction)
    return {
        (int(truth_ids[i]), int(predicted_ids[j])): found.iou[i, j]
        for i, j in zip(*np.nonzero(found.is_match), strict=True)
    }


def _brute_force(truth, prediction):
    judged = truth // 10 != 9
    pairs = {}
    for t in np.unique(truth[judged]):
        for p in np.unique(prediction[prediction // 10 != 9]):
            is_crowd = t in (10, 20)
            a, b = truth == t, (prediction == p) & judged
            iou = (a & b).sum() / (a | b).sum()
            if t // 10 == p // 10 and not is_crowd and iou > 0.5:
                pairs[int(t), int(p)] = iou
    return pairs


@FEWER
@hypothesis.given(MAPS, MAPS)
def test_matches_equal_brute_force(truth, prediction):
    assert _pairs(truth, prediction) == _brute_force(truth, prediction)


@FEWER
@hypothesis.given(MAPS, MAPS)
def test_a_segment_matches_one_at_most(truth, prediction):
    is_match = _match(truth, prediction)[2].is_match
    assert is_match.sum(0).max() <= 1
    assert is_match.sum(1).max() <= 1


@FEWER
@hypothesis.given(MAPS)
def test_a_map_matches_itself(panoptic):
    expected = {int(i) for i in np.unique(panoptic) if i not in (10, 20, 90)}
    assert _pairs(panoptic, panoptic) == {(i, i): 1.0 for i in expected}


@FEWER
@hypothesis.given(MAPS, MAPS, st.permutations(range(1, 10)))
def test_renaming_predicted_things_renames_matches(truth, prediction, names):
    table = np.array([0, *names])
    renamed = prediction // 10 * 10 + table[prediction % 10]
    expected = {
        (t, p // 10 * 10 + int(table[p % 10])): iou for (t, p), iou in _pairs(truth, prediction).items()
    }
    assert _pairs(truth, renamed) == expected


@FEWER
@hypothesis.given(MAPS, MAPS, st.permutations(range(1, 10)))
def test_renaming_true_things_renames_matches(truth, prediction, names):
    table = np.array([0, *names])
    renamed = truth // 10 * 10 + table[truth % 10]
    expected = {
        (t // 10 * 10 + int(table[t % 10]), p): iou for (t, p), iou in _pairs(truth, prediction).items()
    }
    assert _pairs(renamed, prediction) == expected


@FEWER
@hypothesis.given(MAPS, MAPS)
def test_flipping_both_maps_changes_nothing(truth, prediction):
    expected = _pairs(truth, prediction)
    assert _pairs(truth[::-1], prediction[::-1]) == expected
    assert _pairs(truth.T, prediction.T) == expected


@FEWER
@hypothesis.given(MAPS, MAPS)
def test_without_void_and_crowd_the_maps_may_change_places(truth, prediction):
    truth, prediction = (np.where(np.isin(each, [10, 20, 90]), 0, each) for each in (truth, prediction))
    mirrored = {(t, p): iou for (p, t), iou in _pairs(prediction, truth).items()}
    assert _pairs(truth, prediction) == mirrored


@FEWER
@hypothesis.given(MAPS, MAPS, MAPS)
def test_what_is_predicted_in_void_changes_no_match(truth, prediction, other):
    elsewhere = np.where(truth == 90, other, prediction)
    assert _pairs(truth, elsewhere) == _pairs(truth, prediction)


def test_kinds_of_segments_are_told_apart():
    truth = np.array([[0, 10, 11, 90]])
    prediction = np.array([[0, 11, 12, 90]])
    _, _, found = _match(truth, prediction)
    assert found.truth_class.tolist() == [0, 1, 1, 9]
    assert found.predicted_class.tolist() == [0, 1, 1, 9]
    assert found.is_void.tolist() == [False, False, False, True]
    assert found.is_crowd.tolist() == [False, True, False, False]
    assert found.is_segment.tolist() == [True, True, True, False]
    assert np.argwhere(found.is_match).tolist() == [[0, 0], [2, 2]]


@pytest.mark.parametrize(('shared', 'is_match'), [(2, False), (3, True)])
def test_half_is_not_enough(shared, is_match):
    truth, prediction = np.full((1, 4), 11), np.full((1, 4), 21)
    prediction[0, :shared] = 12
    assert bool(_pairs(truth, prediction)) == is_match


def test_ious_are_limited():
    truth = np.array([[11, 11, 21, 21]])
    limit = np.array([[0.5, 1.0], [1.0, 0.75]])
    _, _, found = _match(truth, truth, limit=limit)
    assert found.iou.tolist() == [[0.5, 0], [0, 0.75]]
    assert found.is_match.tolist() == [[False, False], [False, True]]


@pytest.mark.parametrize('wrong', [30, 80, 100])
@pytest.mark.parametrize('is_truth', [False, True])
def test_other_classes_are_refused(wrong, is_truth):
    maps = np.array([[0, 0]]), np.array([[0, wrong]])
    words = rf'class {wrong // 10} is not one of 0 \.\. 2, nor void \(9\)'
    with pytest.raises(ValueError, match=words):
        _match(*(maps[::-1] if is_truth else maps))
