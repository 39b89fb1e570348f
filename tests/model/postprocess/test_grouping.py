# SPDX-License-Identifier: Apache-2.0
"""The nearest center against a brute-force search."""

import functools

import hypothesis
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import strategies as st

from panpipe.custom_ops import kernels
from panpipe.model.postprocess import centers, grouping


@pytest.fixture(params=[True, False], ids=['op', 'twin'])
def group(request):
    """Gives `grouping.group` bound to the op or to its twin."""
    if request.param and not kernels.op_available():
        pytest.fail('the compiled op is missing: run `make op` first')
    return functools.partial(grouping.group, use_op=request.param)


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


def test_small_example(group):
    peak_map = np.zeros((1, 5, 5), np.float32)
    peak_map[0, 0, 0], peak_map[0, 3, 4] = 1.0, 0.7
    is_thing = np.ones((1, 5, 5), bool)
    instance, score = group(peak_map, np.zeros((1, 5, 5, 2), np.float32), is_thing, keep_k_centers=0)
    rows = ['11112', '11122', '11222', '12222', '12222']
    assert [''.join(map(str, row)) for row in instance.numpy()[0]] == rows
    np.testing.assert_array_equal(score, np.where(instance == 1, np.float32(1.0), np.float32(0.7)))


def test_stuff_and_images_without_centers_get_zero(group):
    peak_map = np.zeros((2, 2, 3), np.float32)
    peak_map[1, 0, 0] = 0.5
    is_thing = np.array([[[True] * 3] * 2, [[True, False, True]] * 2])
    instance, score = group(peak_map, np.zeros((2, 2, 3, 2), np.float32), is_thing, keep_k_centers=9)
    assert instance.numpy().tolist() == [[[0] * 3] * 2, [[1, 0, 1]] * 2]
    assert score.numpy().tolist() == [[[0.0] * 3] * 2, [[0.5, 0.0, 0.5]] * 2]


def test_offsets_are_y_then_x(group):
    peak_map = np.zeros((1, 3, 3), np.float32)
    peak_map[0, 0, 2] = peak_map[0, 2, 0] = 0.5
    offset = np.zeros((1, 3, 3, 2), np.float32)
    offset[0, 1, 1] = (1, -1)
    instance, _ = group(peak_map, offset, np.ones((1, 3, 3), bool), keep_k_centers=9)
    assert instance.numpy()[0, 1, 1] == 2


@hypothesis.settings(deadline=None, max_examples=60)
@hypothesis.given(
    seed=st.integers(0, 2**32 - 1),
    shape=st.tuples(st.integers(0, 3), st.integers(1, 70), st.integers(1, 90)),
    density=st.sampled_from([0.0, 0.001, 0.02, 0.5]),
    reach=st.sampled_from([0.0, 3.0, 60.0, 1e4, 1e30]),
    keep_k=st.sampled_from([0, 3, 200]),
)
def test_op_equals_twin(seed, shape, density, reach, keep_k):
    generator = np.random.default_rng(seed)
    peak_map = np.float32(generator.integers(1, 90, shape) / 90) * (generator.random(shape) < density)
    offset = np.float32(generator.normal(0, 1, (*shape, 2)) * reach)
    if seed % 2:  # ties are common
        offset = np.round(offset * 2) / 2
    if seed % 3 == 0:
        chosen = generator.random(offset.shape) < 0.05
        offset[chosen] = generator.choice(np.float32([np.nan, np.inf, -np.inf, 3e38]), chosen.sum())
    maps = (peak_map.astype(np.float32), offset, generator.random(shape) < 0.7)
    op, twin = (grouping.group(*maps, keep_k_centers=keep_k, use_op=use_op) for use_op in (True, False))
    for one, other in zip(op, twin, strict=True):
        np.testing.assert_array_equal(one, other)


def test_infinite_distances_give_the_first_center(group):
    peak_map = np.zeros((1, 2, 4), np.float32)
    peak_map[0, 0, 0] = peak_map[0, 1, 2] = 0.5
    offset = np.zeros((1, 2, 4, 2), np.float32)
    offset[0, 1] = [[np.nan, 0], [0, np.inf], [1e30, 0], [0, 0]]
    instance, _ = group(peak_map, offset, np.ones((1, 2, 4), bool), keep_k_centers=0)
    assert instance.numpy()[0, 1].tolist() == [1, 1, 1, 2]


def test_traced_with_unknown_shape_equals_eager(group):
    specs = [tf.TensorSpec([None] * 3, tf.float32), tf.TensorSpec([None] * 3 + [2], tf.float32)]
    traced = tf.function(
        functools.partial(group, keep_k_centers=9), [*specs, tf.TensorSpec([None] * 3, tf.bool)]
    )
    generator = np.random.default_rng(0)
    for shape in ((1, 5, 6), (2, 7, 3)):
        heatmap = np.float32(generator.random(shape))
        maps = (
            centers.peaks(heatmap, threshold=0.1, nms_kernel=3),
            np.float32(generator.random((*shape, 2))),
        )
        is_thing = generator.random(shape) < 0.5
        for one, other in zip(traced(*maps, is_thing), group(*maps, is_thing, keep_k_centers=9), strict=True):
            np.testing.assert_array_equal(one, other)


def test_op_refuses_shapes():
    maps = np.zeros((1, 2, 3), np.float32), np.zeros((1, 3, 2, 2), np.float32), np.zeros((1, 2, 3), bool)
    with pytest.raises(tf.errors.InvalidArgumentError, match=r'\[1,3,2,2\]'):
        grouping.group(*maps, keep_k_centers=0)
