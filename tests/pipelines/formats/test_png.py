# SPDX-License-Identifier: Apache-2.0
"""What is encoded, Pillow reads back; tasks side by side are all done, and their errors are told."""

import io

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from PIL import Image

from panpipe.pipelines.formats import png

SIDES = npst.array_shapes(min_dims=2, max_dims=2, max_side=17)
SHAPES = SIDES | SIDES.map(lambda shape: (*shape, 3))


def _decoded(content):
    with Image.open(io.BytesIO(content)) as image:
        image.load()
        return np.array(image)


@hypothesis.given(npst.arrays(np.uint8, SHAPES))
def test_bytes_are_read_back(pixels):
    np.testing.assert_array_equal(_decoded(png.encode(pixels)), pixels)


@hypothesis.given(npst.arrays(np.bool_, SIDES) | npst.arrays(np.uint16, SIDES), st.booleans())
def test_masks_and_large_numbers_are_read_back_from_any_memory_order(pixels, is_turned):
    pixels = pixels.T if is_turned else pixels
    np.testing.assert_array_equal(_decoded(png.encode(pixels)), pixels)


@hypothesis.given(npst.arrays(np.bool_, SIDES), *[st.integers(0, 9) for _ in range(4)])
def test_a_mask_is_read_back_at_its_place(mask, top, left, below, beside):
    whole = np.pad(mask, ((top, below), (left, beside)))
    assert png.encode_within(mask, whole.shape, (top, left)) == png.encode(whole)


def test_all_tasks_are_done_and_errors_are_told(tmp_path):
    png.side_by_side(
        [lambda i=i: png.save(str(tmp_path / f'{i}.png'), np.eye(4, dtype=bool)) for i in range(9)]
    )
    assert sorted(path.name for path in tmp_path.iterdir()) == [f'{i}.png' for i in range(9)]
    with pytest.raises(FileExistsError):
        png.side_by_side([lambda: png.save(str(tmp_path / '0.png/a.png'), np.eye(4, dtype=bool))])
