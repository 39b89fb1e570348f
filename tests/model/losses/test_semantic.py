# SPDX-License-Identifier: Apache-2.0
"""The loss of classes is the weighted cross entropy of the hardest pixels, void left out: against numpy."""

import numpy as np
import pytest
import tensorflow as tf

import synthetic
from panpipe.model import config, errors, tensors
from panpipe.model.losses import semantic

LABELS = synthetic.SMALL


def _targets(classes, weight):
    fields = dict.fromkeys(tensors.Targets._fields)
    return tensors.Targets(**{**fields, 'semantic': classes[None], 'semantic_weight': weight[None]})


def _options(**changes):
    return config.SingleLossOptions(**{'name': 'softmax_cross_entropy', 'weight': 2.0, **changes})


@pytest.mark.parametrize('share', [1.0, 0.25])
def test_cross_entropy_of_the_hardest_pixels(share):
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(4, 4, 6)).astype(np.float32)
    classes = rng.integers(0, 6, (4, 4)).astype(np.int32)
    classes[0, 0] = LABELS.ignore_label
    weight = rng.integers(1, 4, (4, 4)).astype(np.float32)
    log = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    losses = -weight * np.take_along_axis(log, np.minimum(classes, 5)[..., None], -1)[..., 0]
    losses[0, 0] = 0
    hardest = np.sort(losses.ravel())[-round(16 * share) :]
    expected = 2 * hardest.sum() / np.count_nonzero(hardest)
    options = _options(top_k_percent=share)
    found = semantic.cross_entropy(tf.constant(logits[None]), _targets(classes, weight), options, LABELS)
    assert float(found[0]) == pytest.approx(expected, rel=1e-5)


def test_an_unknown_loss_is_told_with_those_that_there_are():
    targets = _targets(np.zeros((1, 1), np.int32), np.ones((1, 1), np.float32))
    with pytest.raises((ValueError, errors.InputError), match=r"semantic_loss\.name .*'hinge'.*softmax"):
        semantic.cross_entropy(tf.zeros((1, 1, 1, 6)), targets, _options(name='hinge'), LABELS)
