# SPDX-License-Identifier: Apache-2.0
"""Runs of instances, against a loop over pixels."""

import itertools

import hypothesis
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import strategies as st

import synthetic
from panpipe.model import labels as label_codec
from panpipe.model.inputs import runs

LABELS = synthetic.SMALL
LARGE = label_codec.LabelSpec(134, (1, 2), 2**20, 0)  # whose products float32 cannot tell apart


def _expected(panoptic):
    """Lists (y, x, length, id) of the runs of instances."""
    for y, row in enumerate(panoptic):
        x = 0
        for value, group in itertools.groupby(row.tolist()):
            length = len(list(group))
            semantic, instance = LABELS.decode(value)
            if instance and semantic != LABELS.ignore_label:
                yield y, x, length, value
            x += length


@hypothesis.settings(max_examples=25, deadline=None)
@hypothesis.given(st.integers(0, 2**32 - 1))
def test_runs_of_instances_are_found(seed):
    panoptic = synthetic.panoptic_map(np.random.default_rng(seed))
    found, ids = runs.of_instances(tf.constant(panoptic), LABELS)
    told = zip(
        found.y.numpy(), found.x.numpy(), found.length.numpy(), ids.numpy()[found.segment], strict=True
    )
    assert list(told) == list(_expected(panoptic))
    np.testing.assert_array_equal(found.first, found.y * panoptic.shape[1] + found.x)


@pytest.mark.parametrize('labels', [LABELS, LARGE])
def test_classes_are_the_quotients(labels):
    ids = np.random.default_rng(0).integers(0, labels.num_classes * labels.label_divisor, 10**5)
    ids = np.concatenate([ids, np.arange(labels.num_classes) * labels.label_divisor]).astype(np.int32)
    np.testing.assert_array_equal(runs.classes(tf.constant(ids), labels), ids // labels.label_divisor)


@pytest.mark.parametrize('ids', [(), (3,), (2, 3, 5), (0, 1, 2, 3, 4, 5)])
def test_pixels_of_some_classes_are_found(ids):
    semantic = np.arange(12).reshape(3, 4)
    np.testing.assert_array_equal(runs.is_any(tf.constant(semantic), ids), np.isin(semantic, ids))


def test_chosen_runs_get_their_weight():
    panoptic = tf.constant([[201, 201, 0, 202], [202, 0, 0, 0]])
    found, _ = runs.of_instances(panoptic, LABELS)
    weight = runs.weights(found, found.segment == 1, tf.shape(panoptic), 3.0)
    np.testing.assert_array_equal(weight, [[1, 1, 1, 3], [3, 1, 1, 1]])
