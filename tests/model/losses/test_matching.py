# SPDX-License-Identifier: Apache-2.0
"""Both forms of the matching give one assignment, which is a best one."""

import itertools

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from panpipe.model.losses import matching

ROWS, SLOTS = 7, 5


@pytest.fixture(scope='module', name='compiled')
def _compiled():
    return tf.function(matching.static, jit_compile=True)


def _drawn(seed, num_values, shape=(2, ROWS, SLOTS), num_real=4):
    """Draws similarities; few values make many ties."""
    rng = np.random.default_rng(seed)
    similarity = rng.integers(0, num_values, shape).astype(np.float32) / num_values
    is_real = np.zeros(shape[:2], bool)
    for image in is_real:
        image[rng.permutation(shape[1])[: rng.integers(0, num_real + 1)]] = True
    return similarity, is_real


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**31), num_values=st.sampled_from([1, 2, 3, 10, 2**20]))
def test_both_forms_agree_where_ties_abound(compiled, seed, num_values):
    drawn = _drawn(seed, num_values)
    expected = matching.exact(*map(tf.constant, drawn))
    np.testing.assert_array_equal(compiled(*map(tf.constant, drawn)), expected)


@pytest.mark.parametrize('num_values', [3, 40, 2**20])
def test_both_forms_agree_at_the_size_of_real_images(num_values):
    drawn = _drawn(5, num_values, (2, 60, 48), num_real=48)
    expected = matching.exact(*map(tf.constant, drawn))
    np.testing.assert_array_equal(
        tf.function(matching.static, jit_compile=True)(*map(tf.constant, drawn)), expected
    )


@pytest.mark.parametrize('seed', range(10))
def test_no_assignment_is_better(seed):
    similarity, is_real = _drawn(seed, 50)
    slots = matching.exact(tf.constant(similarity), tf.constant(is_real)).numpy()
    for image in range(2):
        (real,) = np.nonzero(is_real[image])
        best = max(
            sum(similarity[image, row, slot] for row, slot in zip(real, chosen, strict=True))
            for chosen in itertools.permutations(range(SLOTS), len(real))
        )
        found = similarity[image, real, slots[image, real]].sum()
        assert len(set(slots[image, real])) == len(real)
        np.testing.assert_allclose(found, best, rtol=1e-6)
        assert (slots[image, ~is_real[image]] == -1).all()


def test_tiny_similarities_decide():
    """Similarities at the start of a training differ by less than a float32 beside 999 can hold."""
    similarity = tf.constant([[[1.00e-6, 1.01e-6], [1.00e-6, 1.03e-6]]])
    slots = matching.exact(similarity, tf.constant([[True, True]]))
    np.testing.assert_array_equal(slots, [[0, 1]])
