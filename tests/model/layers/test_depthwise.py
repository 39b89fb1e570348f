# SPDX-License-Identifier: Apache-2.0
"""The fast gradients of depthwise convolutions are TensorFlow's."""

import hypothesis
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import strategies as st

from panpipe.custom_ops import library
from panpipe.model.layers import depthwise

pytestmark = pytest.mark.skipif(not library.available(), reason='the compiled ops are not built')


def _gradients(x, kernel, stride, padding, is_fast, weights=None):
    x, kernel = tf.constant(x), tf.constant(kernel)
    with tf.GradientTape() as tape, depthwise.fast_gradients(is_fast):
        tape.watch([x, kernel])
        y = depthwise.convolve(x, kernel, stride, padding)
        weights = tf.sin(tf.range(tf.size(y), dtype=tf.float32)) if weights is None else weights
        total = tf.reduce_sum(y * tf.reshape(weights, y.shape))
    return (y, *tape.gradient(total, [x, kernel]))


@hypothesis.given(
    batch=st.integers(1, 3),
    size=st.sampled_from([3, 5]),
    height=st.integers(1, 12),
    width=st.integers(1, 12),
    channels=st.sampled_from([1, 3, 16, 19, 40]),
    placed=st.sampled_from([(1, 'SAME'), (1, 'VALID'), (2, 'VALID')]),
    seed=st.integers(0, 99),
)
@hypothesis.settings(deadline=None, max_examples=60)
def test_gradients_equal_those_of_tensorflow(batch, size, height, width, channels, placed, seed):
    stride, padding = placed
    if padding == 'VALID':
        height, width = height + size - 1, width + size - 1
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(batch, height, width, channels)).astype('f')
    kernel = rng.normal(size=(size, size, channels, 1)).astype('f')
    expected, found = (_gradients(x, kernel, stride, padding, is_fast) for is_fast in (False, True))
    for mine, theirs in zip(found, expected, strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-4, atol=1e-4)


def test_whole_numbers_are_exact():
    rng = np.random.default_rng(0)
    x = rng.integers(-4, 5, (2, 9, 33, 24)).astype('f')
    kernel = rng.integers(-4, 5, (5, 5, 24, 1)).astype('f')
    weights = tf.constant(rng.integers(-4, 5, x.size).astype('f'))
    expected, found = (_gradients(x, kernel, 1, 'SAME', is_fast, weights) for is_fast in (False, True))
    for mine, theirs in zip(found, expected, strict=True):
        np.testing.assert_array_equal(mine, theirs)


@pytest.mark.parametrize(
    ('size', 'rate', 'dtype'), [(7, 1, tf.float32), (3, 2, tf.float32), (3, 1, tf.bfloat16)]
)
def test_what_the_op_does_not_do_is_left_to_tensorflow(size, rate, dtype):
    x, kernel = tf.ones((1, 9, 9, 4), dtype), tf.ones((size, size, 4, 1), dtype)

    def operations(is_fast):
        def gradient(x, kernel):
            with tf.GradientTape() as tape, depthwise.fast_gradients(is_fast):
                tape.watch(kernel)
                y = depthwise.convolve(x, kernel, 1, 'SAME', rate)
            return tape.gradient(y, kernel)

        graph = tf.function(gradient).get_concrete_function(x, kernel).graph
        return sorted(operation.type for operation in graph.get_operations())

    assert operations(True) == operations(False)


def test_shapes_that_do_not_fit_are_refused():
    op = library.load().panpipe_depthwise_kernel_gradient
    with pytest.raises(tf.errors.InvalidArgumentError, match='batch and channels alike'):
        op(tf.ones((1, 5, 5, 4)), tf.ones((1, 5, 5, 3)), size=3, stride=1, top=1, left=1)
