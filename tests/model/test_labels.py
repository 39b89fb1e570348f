# SPDX-License-Identifier: Apache-2.0
"""The label codec."""

import doctest

import hypothesis
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import strategies as st

from panpipe.model import labels

CITYSCAPES = labels.LabelSpec(19, tuple(range(11, 19)), 1000, 255)


@hypothesis.given(divisor=st.integers(1, 70000), semantic=st.integers(0, 255), instance=st.integers(0, 70000))
def test_decode_inverts_encode(divisor, semantic, instance):
    spec = labels.LabelSpec(19, (11,), divisor, 255)
    instance %= divisor
    assert spec.decode(spec.encode(semantic, instance)) == (semantic, instance)
    pair = spec.decode(spec.encode(np.int32([semantic]), np.int32([instance])))
    np.testing.assert_array_equal(pair, [[semantic], [instance]])


def test_tensors_and_arrays_alike():
    ids = np.int32([[255000, 13007], [0, 11000]])
    for ours, theirs in zip(CITYSCAPES.decode(tf.constant(ids)), CITYSCAPES.decode(ids), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_void_and_stuff():
    assert CITYSCAPES.void == 255000
    assert CITYSCAPES.stuff_ids == tuple(range(11))
    assert labels.LabelSpec(134, (1,), 256, 0).stuff_ids == tuple(range(2, 134))
    assert CITYSCAPES.thing_table().nonzero()[0].tolist() == list(range(11, 19))


@pytest.mark.parametrize(
    ('numbers', 'message'),
    [
        ((0, (), 1000, 255), 'num_classes is 0'),
        ((19, (19,), 1000, 255), r'thing ids \[19\]'),
        ((19, (11, 11), 1000, 255), 'twice'),
        ((19, (), 0, 255), 'label_divisor is 0'),
        ((19, (), 1000, -1), 'ignore_label is -1'),
        ((19, (), 10**8, 255), 'exceed int32'),
    ],
)
def test_contradictions_are_refused(numbers, message):
    with pytest.raises(ValueError, match=message):
        labels.LabelSpec(*numbers)


def test_docstring_examples():
    assert doctest.testmod(labels).failed == 0
