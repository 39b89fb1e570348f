# SPDX-License-Identifier: Apache-2.0
"""Post-processing of fixed shapes equals the one that counts, eager and compiled by XLA."""

import functools

import numpy as np
import pytest
import tensorflow as tf

from panpipe.model import datasets, labels, tensors
from panpipe.model.postprocess import numbers, static, upsampled

SPEC = datasets.SPECS['cityscapes_panoptic'].labels
TIGHT = labels.LabelSpec(num_classes=19, thing_ids=SPEC.thing_ids, label_divisor=3, ignore_label=2)


def _heads(seed, peaks, batch=2, height=24, width=40, has_instances=True):
    """Blocks of classes, single pixels as centers, offsets of halves: exact distances, often equal."""
    rng = np.random.default_rng(seed)
    blocks = rng.normal(size=(batch, height // 8, width // 8, 19)).repeat(8, 1).repeat(8, 2)
    logits = tf.constant(blocks + rng.normal(0, 0.2, (batch, height, width, 19)), tf.float32)
    if not has_instances:
        return tensors.Heads(logits, None, None)
    heatmap = np.zeros((batch, height, width, 1), np.float32)
    for image in heatmap:
        at = rng.choice(height * width, peaks, replace=False)
        image.reshape(-1)[at] = np.round(rng.uniform(0, 1, peaks), 1)
    offset = rng.integers(-12, 13, (batch, height, width, 2)) / 2
    return tensors.Heads(logits, tf.constant(heatmap), tf.constant(offset, tf.float32))


@pytest.mark.parametrize('is_compiled', [False, True], ids=['eager', 'compiled'])
@pytest.mark.parametrize(
    ('heads', 'spec', 'keep_k', 'limit'),
    [
        (_heads(0, 12), SPEC, 200, 0),
        (_heads(1, 0), SPEC, 8, 100),
        (_heads(2, 40), SPEC, 6, 64),
        (_heads(3, 60), TIGHT, 100, 0),
        (_heads(4, 0, has_instances=False), SPEC, 10, 64),
    ],
    ids=['few', 'no centers', 'more than are kept', 'more than have numbers', 'no instance branch'],
)
def test_it_equals_the_one_that_counts(heads, spec, keep_k, limit, is_compiled):
    given = numbers.Numbers(nms_kernel=5, keep_k_centers=keep_k, stuff_area_limit=limit, use_op=False)
    run = functools.partial(static.predict, labels=spec, numbers=given)
    if is_compiled:
        run = tf.function(run, jit_compile=True)
    found, expected = run(heads), upsampled.predict(heads, spec, given)
    for name, value in expected._asdict().items():
        np.testing.assert_array_equal(getattr(found, name), value, err_msg=name)


def test_an_unbounded_number_of_centers_is_refused():
    with pytest.raises(ValueError, match='keep_k_centers is 0; give the largest number'):
        static.predict(_heads(0, 3), SPEC, numbers.Numbers(keep_k_centers=0))
