# SPDX-License-Identifier: Apache-2.0
"""In training whole images are dropped, and the others enlarged, so that the mean stays."""

import keras
import numpy as np

from panpipe.model.layers import stochastic_depth


def test_images_are_dropped_as_a_whole_in_training():
    keras.utils.set_random_seed(0)
    layer = stochastic_depth.drop(0.75)
    found = np.array(layer(np.ones((400, 2, 3, 2), np.float32), training=True))
    assert {len(np.unique(image)) for image in found} == {1}
    kept = found[:, 0, 0, 0] > 0
    np.testing.assert_allclose(found[kept], 1 / 0.75, rtol=1e-6)
    assert 0.65 < kept.mean() < 0.85


def test_nothing_is_dropped_without_training():
    x = np.ones((4, 2, 3, 2), np.float32)
    np.testing.assert_array_equal(stochastic_depth.drop(0.1)(x, training=False), x)
