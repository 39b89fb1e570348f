# SPDX-License-Identifier: Apache-2.0
"""Boundary panoptic quality against erosion mask by mask, by known numbers, and by its own laws."""

import doctest
import functools
import operator

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

import synthetic
from panpipe.model import labels
from panpipe.model.metrics import boundary, quality

SPEC = labels.LabelSpec(num_classes=4, thing_ids=(1, 3), label_divisor=10, ignore_label=9)
SEEDS = st.integers(0, 2**32 - 1)


def _pair(seed, height=17, width=23):
    """Draws a map and one of it that is shifted and has a box of another segment."""
    rng = np.random.default_rng(seed)
    truth = synthetic.panoptic_map(rng, synthetic.SMALL, height, width)
    prediction = np.roll(truth, rng.integers(-2, 3, 2), (0, 1))
    top, left = rng.integers(0, height), rng.integers(0, width)
    prediction[top : top + 5, left : left + 7] = rng.choice([synthetic.SMALL.void, 0, 201, 305])
    return truth, prediction


def _count(seed):
    return boundary.from_maps(*_pair(seed), synthetic.SMALL)


def _lost(mask, distance):
    """Erodes a mask, with a frame of nothing around it, by a square of 3 x 3 again and again."""
    height, width = mask.shape
    eroded = np.pad(mask, 1)
    for _ in range(distance):
        around = np.pad(eroded, 1, constant_values=True)
        shifted = [around[y : y + height + 2, x : x + width + 2] for y in range(3) for x in range(3)]
        eroded = functools.reduce(operator.and_, shifted)
    return mask & ~eroded[1:-1, 1:-1]


def _judge(truth, prediction, spec, distance):
    """Counts by the letter, segment by segment, on boolean masks: {class: (IoUs, tp, fn, fp)}."""
    counts = np.zeros((4, spec.num_classes))
    void = truth == spec.void
    is_crowd = {i: truth == spec.encode(i, 0) for i in spec.thing_ids}
    missed = set(np.unique(truth)) - {spec.void, *(spec.encode(i, 0) for i in spec.thing_ids)}
    wrong = set(np.unique(prediction)) - {spec.void}
    pairs = [(t, p) for t in missed for p in wrong if spec.decode(t)[0] == spec.decode(p)[0]]
    for t, p in pairs:
        ious = []
        for shape in (lambda mask: mask, lambda mask: _lost(mask, distance)):
            a, b = shape(truth == t), shape(prediction == p) & ~void
            ious.append((a & b).sum() / (a | b).sum())
        if min(ious) > 0.5:
            counts[:2, spec.decode(t)[0]] += min(ious), 1
            missed.discard(t)
            wrong.discard(p)
    for t in missed:
        counts[2, spec.decode(t)[0]] += 1
    for p in wrong:
        mask, of_class = prediction == p, spec.decode(p)[0]
        if (mask & (void | is_crowd.get(of_class, False))).sum() <= mask.sum() / 2:
            counts[3, of_class] += 1
    return counts


@hypothesis.settings(deadline=None)
@hypothesis.given(
    npst.arrays(np.int32, npst.array_shapes(min_dims=2, max_dims=2, max_side=12), elements=st.integers(0, 2)),
    st.integers(1, 4),
)
def test_boundaries_are_what_erosion_takes(panoptic, distance):
    found = boundary.near(panoptic, distance)
    for segment in np.unique(panoptic):
        mask = panoptic == segment
        np.testing.assert_array_equal(found & mask, _lost(mask, distance))


@hypothesis.settings(deadline=None, max_examples=50)
@hypothesis.given(SEEDS, st.integers(1, 5))
def test_boundaries_of_large_segments_are_what_erosion_takes(seed, distance):
    panoptic, _ = _pair(seed, 30, 40)
    expected = [_lost(panoptic == segment, distance) for segment in np.unique(panoptic)]
    np.testing.assert_array_equal(boundary.near(panoptic, distance), np.any(expected, 0))


@hypothesis.settings(deadline=None, max_examples=60)
@hypothesis.given(SEEDS, st.sampled_from([(17, 23), (60, 80), (3, 90)]))
def test_counts_equal_brute_force(seed, size):
    pair = _pair(seed, *size)
    counted = boundary.from_maps(*pair, synthetic.SMALL)
    expected = _judge(*pair, synthetic.SMALL, boundary.reach(*size))
    np.testing.assert_array_equal(counted.counts, expected[1:])
    sums = [one.sq * one.true_positives for one in counted.result().per_class]
    np.testing.assert_allclose(sums, expected[0], rtol=1e-12)


def test_the_reach_is_two_per_cent_of_the_diagonal():
    assert [boundary.reach(*size) for size in ((1024, 2048), (480, 640), (3, 4))] == [46, 16, 1]


def test_a_ragged_outline_costs_boundary_quality_only():
    """At 100 x 100 boundaries are 3 pixels wide; the square of 60 loses every other pixel of its rim."""
    truth = np.zeros((100, 100), np.int32)
    truth[20:80, 20:80] = 11
    prediction = truth.copy()
    prediction[20, 20:80:2] = prediction[79, 20:80:2] = prediction[20:80:2, 20] = prediction[20:80:2, 79] = 0
    masks = quality.PanopticQuality.from_maps(truth, prediction, SPEC).result().things
    edges = boundary.from_maps(truth, prediction, SPEC).result().things
    lost = (truth != prediction).sum()
    assert masks.pq == 1 - lost / 60**2
    # Where pixels are missing, the boundary begins and ends one pixel further in.
    assert edges.pq == (60**2 - 54**2 - lost) / (60**2 - 52**2)
    assert edges.pq < 0.7 < 0.95 < masks.pq


def test_equal_masks_of_unlike_outline_do_not_match():
    """Mask IoU is 0.68; the boundaries of two large squares that are shifted hardly meet."""
    truth, prediction = np.zeros((2, 200, 200), np.int32)
    truth[50:150, 50:150] = 11
    prediction[60:160, 60:160] = 11
    assert quality.PanopticQuality.from_maps(truth, prediction, SPEC).counts[:, 1].tolist() == [1, 0, 0]
    assert boundary.from_maps(truth, prediction, SPEC).counts[:, 1].tolist() == [0, 1, 1]


@hypothesis.settings(deadline=None, max_examples=30)
@hypothesis.given(SEEDS)
def test_it_is_never_above_panoptic_quality(seed):
    """Fewer pairs match, and none better; where all segments are thin, both are the same."""
    pair = _pair(seed)
    masks = quality.PanopticQuality.from_maps(*pair, synthetic.SMALL)
    edges = boundary.from_maps(*pair, synthetic.SMALL)
    assert (edges.counts[0] <= masks.counts[0]).all()
    assert (edges.iou <= masks.iou).all()
    assert (edges.counts[:2].sum(0) == masks.counts[:2].sum(0)).all()
    thin = [one[:2] for one in pair]
    assert boundary.from_maps(*thin, synthetic.SMALL) == quality.PanopticQuality.from_maps(
        *thin, synthetic.SMALL
    )


@hypothesis.settings(deadline=None, max_examples=30)
@hypothesis.given(SEEDS)
def test_a_map_agrees_with_itself(seed):
    truth, _ = _pair(seed)
    counted = boundary.from_maps(truth, truth, synthetic.SMALL)
    assert counted == quality.PanopticQuality.from_maps(truth, truth, synthetic.SMALL)
    assert counted.result().pq in (0.0, 1.0)


@hypothesis.settings(deadline=None, max_examples=30)
@hypothesis.given(st.lists(SEEDS, min_size=3, max_size=5), st.randoms())
def test_joining_is_exact_in_any_order(seeds, random):
    counts = [_count(seed) for seed in seeds]
    total = functools.reduce(operator.add, counts)
    random.shuffle(counts)
    assert functools.reduce(operator.add, counts, quality.PanopticQuality.zero(synthetic.SMALL)) == total


@pytest.mark.parametrize(
    ('truth', 'prediction', 'words'),
    [
        ([[0, 0]], [[0]], r'shape \(1, 2\), prediction \(1, 1\)'),
        ([[-10]], [[0]], 'class -1 is not one of 0 .. 3'),
        ([[0]], [[40]], 'class 4 is not one of 0 .. 3'),
    ],
)
def test_misuse_is_refused(truth, prediction, words):
    with pytest.raises(ValueError, match=words):
        boundary.from_maps(np.array(truth), np.array(prediction), SPEC)


def test_the_documented_example_holds():
    assert doctest.testmod(boundary).failed == 0
