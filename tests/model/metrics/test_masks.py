# SPDX-License-Identifier: Apache-2.0
"""Run-length coded masks are those that pycocotools codes from each mask laid out."""

import doctest

import hypothesis
import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from pycocotools import mask as coco_mask

from panpipe.model.metrics import masks

SHAPES = npst.array_shapes(min_dims=2, max_dims=2, max_side=7)
MAPS = npst.arrays(np.int32, SHAPES, elements=st.integers(0, 3))


def test_examples():
    assert doctest.testmod(masks).failed == 0


@hypothesis.given(MAPS)
def test_equals_the_coding_of_masks_laid_out(ids):
    expected = {
        i: coco_mask.encode(np.asfortranarray(ids == i, np.uint8)) for i in (1, 3) if (ids == i).any()
    }
    assert masks.encode(ids, [1, 3]) == expected


@hypothesis.given(MAPS)
def test_extents_equal_those_of_masks_laid_out(ids):
    expected = {}
    for i in np.unique(ids).tolist():
        rows, columns = np.nonzero(ids == i)
        box = rows.min(), columns.min(), rows.max() + 1, columns.max() + 1
        expected[i] = (len(rows), *map(int, box))
    assert masks.extents(ids) == expected
    assert list(masks.extents(ids)) == sorted(expected)


def test_nothing_wanted_and_nothing_there():
    assert masks.encode(np.ones((2, 3), np.int32), []) == {}
    assert masks.encode(np.ones((0, 3), np.int32), [1]) == {}
    assert masks.extents(np.ones((0, 3), np.int32)) == {}
