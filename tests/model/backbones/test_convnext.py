# SPDX-License-Identifier: Apache-2.0
"""ConvNeXt has the sizes of its paper; its values are compared where kMaX-DeepLab and imports are."""

import numpy as np
import pytest
import tensorflow as tf

from panpipe.model.backbones import convnext


@pytest.mark.parametrize(
    ('layout', 'parameters'),
    [
        (convnext.TINY, 27_818_592),
        pytest.param(convnext.SMALL, 49_453_152, marks=pytest.mark.slow),
        pytest.param(convnext.BASE, 87_564_416, marks=pytest.mark.slow),
        pytest.param(convnext.LARGE, 196_227_264, marks=pytest.mark.slow),
    ],
)
def test_numbers_of_parameters_and_sizes(layout, parameters):
    encoder = convnext.ConvNeXt(layout)
    stages = encoder(tf.zeros((1, 65, 33, 3)))
    assert sum(int(np.prod(v.shape)) for v in encoder.weights) == parameters
    assert tuple(x.shape[-1] for x in stages) == (layout.channels[0], *layout.channels)
    assert [tuple(x.shape[1:3]) for x in stages] == [(17, 9), (17, 9), (9, 5), (5, 3), (3, 2)]


def test_a_fresh_block_changes_little():
    x = tf.random.stateless_normal((2, 5, 5, 8), (0, 0))
    np.testing.assert_allclose(convnext.Block(1.0, name='x')(x), x, atol=1e-4)


def test_survival_falls_from_one_to_that_of_the_last_block():
    np.testing.assert_allclose(convnext.survival(0.7, 4), [1, 0.9, 0.8, 0.7])
