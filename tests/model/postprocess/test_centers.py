# SPDX-License-Identifier: Apache-2.0
"""Centers against a brute-force search."""

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from panpipe.model.postprocess import centers


def brute_force_peaks(heatmap, threshold, kernel):
    result = np.zeros_like(heatmap)
    before = (kernel - 1) // 2
    for image, y, x in np.argwhere(heatmap > threshold):
        top, left = max(y - before, 0), max(x - before, 0)
        window = heatmap[image, top : y - before + kernel, left : x - before + kernel]
        if heatmap[image, y, x] >= window.max():
            result[image, y, x] = heatmap[image, y, x]
    return result


@hypothesis.settings(deadline=None, max_examples=80)
@hypothesis.given(
    heatmap=arrays.arrays(
        np.float32,
        arrays.array_shapes(min_dims=3, max_dims=3, max_side=7),
        # Few values, so that plateaus are common; one lies on the threshold.
        elements=st.sampled_from([-0.5, 0.0, 0.0625, 0.125, 0.5, 0.75, 1.0]),
    ),
    kernel=st.integers(1, 8),
)
def test_peaks_equal_brute_force(heatmap, kernel):
    found = centers.peaks(heatmap, threshold=0.125, nms_kernel=kernel)
    np.testing.assert_array_equal(found, brute_force_peaks(heatmap, 0.125, kernel))


def test_plateaus_stay_and_the_threshold_is_strict():
    heatmap = np.float32([[[0.5, 0.5, 0.0, 0.25, 0.0, 0.375]]])
    found = centers.peaks(heatmap, threshold=0.25, nms_kernel=3)
    assert found.numpy().tolist() == [[[0.5, 0.5, 0.0, 0.0, 0.0, 0.375]]]


def test_kernel_must_be_positive():
    with pytest.raises(ValueError, match='nms_kernel is 0'):
        centers.peaks(np.zeros((1, 2, 2), np.float32), threshold=0.1, nms_kernel=0)


@pytest.mark.parametrize(
    ('keep_k', 'expected'),
    [
        (-1, [(0, 0), (0, 2), (1, 1), (2, 0)]),
        (0, [(0, 0), (0, 2), (1, 1), (2, 0)]),
        (5, [(0, 0), (0, 2), (1, 1), (2, 0)]),
        (4, [(0, 0), (0, 2), (1, 1), (2, 0)]),
        (3, [(0, 2), (2, 0)]),
        (2, [(0, 2)]),
        (1, []),
    ],
)
def test_positions_above_the_value_of_rank_k_stay(keep_k, expected):
    peak_map = np.float32([[0.3, 0, 0.9], [0, 0.5, 0], [0.8, 0, 0]])
    assert [tuple(p) for p in centers.positions(peak_map, keep_k=keep_k).numpy()] == expected


def test_equal_values_fall_together():
    peak_map = np.float32([[0.5, 0, 0.5, 0.5, 0.9]])
    assert centers.positions(peak_map, keep_k=4).shape == (4, 2)
    assert centers.positions(peak_map, keep_k=3).numpy().tolist() == [[0, 4]]


def test_map_without_centers():
    assert centers.positions(np.zeros((3, 4), np.float32), keep_k=2).shape == (0, 2)
