# SPDX-License-Identifier: Apache-2.0
"""Padding goes, pixels of the original size come from the nearest."""

import numpy as np
import pytest
import tensorflow as tf

from panpipe.model import tensors
from panpipe.model.postprocess import restore


def numbered(height, width):
    plane = np.arange(height * width, dtype=np.int32).reshape(1, height, width)
    return tensors.Prediction(plane, plane + 1, plane + 2, plane.astype(np.float32) / 2)


def test_cuts_the_padding_off():
    restored = restore.original_size(numbered(5, 7), tf.constant([3, 4]), 3, 4)
    for before, after in zip(numbered(5, 7), restored, strict=True):
        np.testing.assert_array_equal(after, before[:, :3, :4])


@pytest.mark.parametrize(('height', 'width'), [(7, 9), (2, 3), (1, 1), (4, 12)])
def test_takes_the_nearest_pixel_with_aligned_corners(height, width):
    restored = restore.original_size(numbered(6, 6), tf.constant([4, 5]), height, width)
    # Halves round up (away from zero), as in `std::round`.
    rows = np.floor(np.arange(height) * (3 / max(height - 1, 1)) + 0.5).astype(int)
    columns = np.floor(np.arange(width) * (4 / max(width - 1, 1)) + 0.5).astype(int)
    for before, after in zip(numbered(6, 6), restored, strict=True):
        assert after.dtype == before.dtype
        if height > 1:
            np.testing.assert_array_equal(after, before[:, rows][:, :, columns])
        else:
            np.testing.assert_array_equal(after, before[:, :1, :1])


def test_size_may_be_a_tensor_of_the_graph():
    @tf.function(input_signature=[tf.TensorSpec([2], tf.int32)])
    def restored(size):
        return restore.original_size(numbered(4, 4), tf.constant([2, 2]), size[0], size[1]).panoptic

    assert restored(tf.constant([4, 6])).shape == (1, 4, 6)
