# SPDX-License-Identifier: Apache-2.0
"""Resizing the heads: planes stay planes, offsets grow with the image."""

import numpy as np
import tensorflow as tf

from panpipe.model import postprocess, tensors


def ramp(height, width, channels):
    """A plane, which bilinear resizing with aligned corners reproduces exactly."""
    y, x = np.meshgrid(np.linspace(0, 1, height), np.linspace(0, 1, width), indexing='ij')
    return np.stack([(c + 1) * y - 2 * x + c for c in range(channels)], -1)[None].astype(np.float32)


def test_planes_stay_planes_and_offsets_grow():
    heads = tensors.Heads(ramp(3, 5, 4), ramp(3, 5, 1), ramp(3, 5, 2))
    large = postprocess.upsample(heads, 9, 13)
    np.testing.assert_allclose(large.semantic_logits, ramp(9, 13, 4), atol=1e-6)
    np.testing.assert_allclose(large.center_heatmap, ramp(9, 13, 1), atol=1e-6)
    np.testing.assert_allclose(
        large.offset, ramp(9, 13, 2) * [(9 - 1) / (3 - 1), (13 - 1) / (5 - 1)], atol=1e-5
    )


def test_absent_heads_stay_absent():
    large = postprocess.upsample(tensors.Heads(ramp(3, 3, 2), None, None), 5, 5)
    assert large.center_heatmap is None
    assert large.offset is None


def test_offsets_of_a_single_row_keep_their_length():
    heads = tensors.Heads(ramp(1, 3, 2), ramp(1, 3, 1), np.ones((1, 1, 3, 2), np.float32))
    large = postprocess.upsample(heads, 4, 5)
    np.testing.assert_allclose(large.offset[..., 0], 1)
    np.testing.assert_allclose(large.offset[..., 1], 2)


def test_traced_with_unknown_shape_equals_eager():
    signature = tensors.Heads(*(tf.TensorSpec([None, None, None, c], tf.float32) for c in (3, 1, 2)))
    traced = tf.function(lambda heads: postprocess.upsample(heads, 9, 7), input_signature=[signature])
    heads = tensors.Heads(ramp(3, 4, 3), ramp(3, 4, 1), ramp(3, 4, 2))
    for one, other in zip(traced(heads), postprocess.upsample(heads, 9, 7), strict=True):
        np.testing.assert_array_equal(one, other)
        assert one.shape[1:3] == (9, 7)
