# SPDX-License-Identifier: Apache-2.0
"""Resizing keeps corners, and is linear between pixels."""

import numpy as np
import tensorflow as tf

from panpipe.model.layers import resize


def test_a_ramp_stays_a_ramp():
    ramp = np.linspace(0, 1, 5, dtype=np.float32)
    image = (ramp[:, None] + 10 * ramp)[None, ..., None]
    fine = np.linspace(0, 1, 9, dtype=np.float32)
    np.testing.assert_allclose(
        resize.bilinear(image, 9, 17)[0, ..., 0],
        fine[:, None] + 10 * np.linspace(0, 1, 17, dtype=np.float32),
        atol=1e-5,
    )


def test_like_takes_static_and_dynamic_sizes():
    image = tf.ones((1, 1, 1, 2))
    assert tf.function(resize.like)(image, tf.zeros((1, 3, 5, 7))).shape == (1, 3, 5, 2)
    dynamic = tf.function(resize.like, input_signature=[tf.TensorSpec((1, None, None, 2))] * 2)
    assert dynamic(image, tf.zeros((1, 3, 5, 2))).shape == (1, 3, 5, 2)
