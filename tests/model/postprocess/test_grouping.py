# SPDX-License-Identifier: Apache-2.0
"""The nearest centre against a brute-force search."""

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st

from panpipe.model.postprocess import grouping


def brute_force_nearest(target, center):
    d = [[np.float32(np.float32(dy * dy) + np.float32(dx * dx)) for dy, dx in t - center] for t in target]
    return np.argmin(np.reshape(d, (len(target), len(center))), axis=1)


@hypothesis.settings(deadline=None, max_examples=60)
@hypothesis.given(
    seed=st.integers(0, 2**32 - 1),
    targets=st.integers(0, 40),
    num_centers=st.integers(1, 9),
    is_grid=st.booleans(),
)
def test_nearest_equals_brute_force(seed, targets, num_centers, is_grid):
    generator = np.random.default_rng(seed)
    center = generator.integers(0, 6, (num_centers, 2)).astype(np.float32)
    target = generator.uniform(-3, 9, (targets, 2)).astype(np.float32)
    if is_grid:  # ties are common
        target = np.round(target * 2) / 2
    np.testing.assert_array_equal(grouping.nearest(target, center), brute_force_nearest(target, center))


@pytest.mark.parametrize('pairs', [1, 7, 16, 64])
def test_chunks_change_nothing(pairs, monkeypatch):
    generator = np.random.default_rng(0)
    target, center = generator.uniform(0, 9, (16, 2)).astype(np.float32), np.float32([[1, 1], [5, 5], [8, 1]])
    whole = grouping.nearest(target, center)
    monkeypatch.setattr(grouping, '_PAIRS', pairs)
    np.testing.assert_array_equal(grouping.nearest(target, center), whole)


def test_first_center_wins_a_tie():
    assert grouping.nearest(np.float32([[0, 1]]), np.float32([[0, 2], [0, 0]])).numpy().tolist() == [0]


def test_small_example():
    peak_map = np.zeros((1, 5, 5), np.float32)
    peak_map[0, 0, 0], peak_map[0, 3, 4] = 1.0, 0.7
    is_thing = np.ones((1, 5, 5), bool)
    instance, score = grouping.group(peak_map, np.zeros((1, 5, 5, 2), np.float32), is_thing, keep_k_centers=0)
    rows = ['11112', '11122', '11222', '12222', '12222']
    assert [''.join(map(str, row)) for row in instance.numpy()[0]] == rows
    np.testing.assert_array_equal(score, np.where(instance == 1, np.float32(1.0), np.float32(0.7)))


def test_stuff_and_images_without_centers_get_zero():
    peak_map = np.zeros((2, 2, 3), np.float32)
    peak_map[1, 0, 0] = 0.5
    is_thing = np.array([[[True] * 3] * 2, [[True, False, True]] * 2])
    instance, score = grouping.group(peak_map, np.zeros((2, 2, 3, 2), np.float32), is_thing, keep_k_centers=9)
    assert instance.numpy().tolist() == [[[0] * 3] * 2, [[1, 0, 1]] * 2]
    assert score.numpy().tolist() == [[[0.0] * 3] * 2, [[0.5, 0.0, 0.5]] * 2]


def test_offsets_are_y_then_x():
    peak_map = np.zeros((1, 3, 3), np.float32)
    peak_map[0, 0, 2] = peak_map[0, 2, 0] = 0.5
    offset = np.zeros((1, 3, 3, 2), np.float32)
    offset[0, 1, 1] = (1, -1)
    instance, _ = grouping.group(peak_map, offset, np.ones((1, 3, 3), bool), keep_k_centers=9)
    assert instance.numpy()[0, 1, 1] == 2
