# SPDX-License-Identifier: Apache-2.0
"""Counting what segments share equals counting pixel by pixel."""

import itertools

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from panpipe.model.metrics import overlaps

FEWER = hypothesis.settings(deadline=None, max_examples=30)
SHAPES = npst.array_shapes(min_dims=2, max_dims=2, min_side=0, max_side=5)
IDS = st.sampled_from([0, 1, 7, 11003, 255000])
MAPS = npst.arrays(np.int32, SHAPES, elements=IDS)
PAIRS = SHAPES.flatmap(lambda shape: st.tuples(*(npst.arrays(np.int32, shape, elements=IDS),) * 2))


@FEWER
@hypothesis.given(PAIRS)
def test_shared_pixels_equal_brute_force(pair):
    first, second = pair
    rows, columns, joint = overlaps.between(first, second)
    np.testing.assert_array_equal(rows, np.unique(first))
    np.testing.assert_array_equal(columns, np.unique(second))
    assert joint.dtype == np.int64
    assert joint.shape == (len(rows), len(columns))
    for i, mine in enumerate(rows):
        for j, yours in enumerate(columns):
            assert joint[i, j] == ((first == mine) & (second == yours)).sum()


@FEWER
@hypothesis.given(PAIRS)
def test_sums_are_areas(pair):
    rows, columns, joint = overlaps.between(*pair)
    for ids, areas, given in zip((rows, columns), (joint.sum(1), joint.sum(0)), pair, strict=True):
        np.testing.assert_array_equal(areas, np.unique(given, return_counts=True)[1])
        np.testing.assert_array_equal(ids, np.unique(given))


@FEWER
@hypothesis.given(PAIRS)
def test_maps_may_change_places(pair):
    first, second = pair
    rows, columns, joint = overlaps.between(first, second)
    mirrored = overlaps.between(second, first)
    for mine, yours in zip((columns, rows, joint.T), mirrored, strict=True):
        np.testing.assert_array_equal(mine, yours)


@FEWER
@hypothesis.given(PAIRS, st.randoms(use_true_random=False))
def test_the_order_of_pixels_changes_nothing(pair, random):
    order = list(range(pair[0].size))
    random.shuffle(order)
    shuffled = overlaps.between(*(each.ravel()[order] for each in pair))
    for mine, yours in zip(overlaps.between(*pair), shuffled, strict=True):
        np.testing.assert_array_equal(mine, yours)


@FEWER
@hypothesis.given(MAPS)
def test_compact_equals_unique(ids):
    distinct, index = overlaps.compact(ids)
    expected = np.unique(ids, return_inverse=True)
    np.testing.assert_array_equal(distinct, expected[0])
    np.testing.assert_array_equal(index, expected[1].reshape(ids.shape))
    np.testing.assert_array_equal(distinct[index], ids)


@pytest.mark.parametrize('dtype', [np.int8, np.uint8, np.int16, np.uint16, np.int32, np.uint32, np.int64])
def test_ids_may_be_of_any_integers(dtype):
    largest = min(np.iinfo(dtype).max, 2**20)
    ids = np.array([[largest, 0], [3, largest]], dtype)
    distinct, index = overlaps.compact(ids)
    assert distinct.tolist() == [0, 3, largest]
    assert index.tolist() == [[2, 0], [1, 2]]
    assert overlaps.between(ids, ids)[2].tolist() == [[1, 0, 0], [0, 1, 0], [0, 0, 2]]


@FEWER
@hypothesis.given(PAIRS)
def test_runs_can_be_laid_out_again(pair):
    values, lengths = overlaps.runs(*pair)
    assert lengths.sum() == pair[0].size
    assert (lengths > 0).all()
    for given, coded in zip(pair, values, strict=True):
        np.testing.assert_array_equal(np.repeat(coded, lengths), given.ravel())


@FEWER
@hypothesis.given(PAIRS)
def test_there_are_no_more_runs_than_needed(pair):
    values, _ = overlaps.runs(*pair)
    both = list(zip(*(coded.tolist() for coded in values), strict=True))
    assert all(mine != yours for mine, yours in itertools.pairwise(both))


def test_one_map_has_runs_of_its_own():
    (values,), lengths = overlaps.runs(np.array([[4, 4], [4, 0], [0, 5]]))
    assert (values.tolist(), lengths.tolist()) == ([4, 0, 5], [3, 2, 1])


@FEWER
@hypothesis.given(PAIRS)
def test_ious_equal_brute_force(pair):
    first, second = pair
    rows, columns, joint = overlaps.between(first, second)
    ious = overlaps.ratio_of_union(joint, joint.sum(1), joint.sum(0))
    for i, mine in enumerate(rows):
        for j, yours in enumerate(columns):
            a, b = first == mine, second == yours
            assert ious[i, j] == (a & b).sum() / (a | b).sum()


def test_the_iou_of_nothing_is_0():
    zero = np.zeros((1, 1), np.int64)
    assert overlaps.ratio_of_union(zero, zero[0], zero[0]).tolist() == [[0.0]]


@pytest.mark.parametrize('negative', [-1, np.iinfo(np.int32).min])
def test_negative_ids_are_refused(negative):
    with pytest.raises(ValueError, match=f'panoptic id {negative} is negative'):
        overlaps.compact(np.array([[0, negative]], np.int32))


def test_maps_of_two_shapes_are_refused():
    words = r'ground truth has shape \(1, 2\), prediction \(2, 1\); they must agree'
    with pytest.raises(ValueError, match=words):
        overlaps.between(np.zeros((1, 2), int), np.zeros((2, 1), int))
