# SPDX-License-Identifier: Apache-2.0
"""Samples of a mask transformer: masks as targets, and segments pasted from a second sample."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

import experiments
from panpipe.model import config, tensors
from panpipe.model.inputs import pipeline, recipes

HEIGHT, WIDTH = 33, 65
PASTE = config.PanopticCopyPasteOptions(0.5, 'all', 'random', 'none')


@pytest.fixture(scope='module', name='pattern')
def _pattern(tmp_path_factory):
    return experiments.write_records(tmp_path_factory.mktemp('records'), 6)


def _experiment(pattern, pasting=PASTE):
    experiment = experiments.load(pattern)
    augmentations = config.AugmentationOptions(0.5, 2.0, 0.1, panoptic_copy_paste=pasting)
    data = dataclasses.replace(experiment.train_dataset_options, augmentations=augmentations, max_thing_id=12)
    model = config.ModelOptions(max_deeplab=config.MaXDeepLabOptions())
    return dataclasses.replace(experiment, train_dataset_options=data, model_options=model)


def _take(experiment, count, **arguments):
    return list(pipeline.training_samples(experiment, **arguments).take(count).as_numpy_iterator())


def _assert_same(first, second):
    for mine, theirs in zip(tf.nest.flatten(first), tf.nest.flatten(second), strict=True):
        np.testing.assert_array_equal(mine, theirs, strict=True)


@pytest.mark.parametrize('size', [1, 2])
def test_shapes_are_static(pattern, size):
    image, found = pipeline.training_samples(_experiment(pattern), batch_size=size).element_spec
    assert image == tf.TensorSpec((size, HEIGHT, WIDTH, 3), tf.float32)
    plane = tf.TensorSpec((size, HEIGHT, WIDTH), tf.int32)
    assert found == tensors.MaskTargets(
        plane,
        tf.TensorSpec(plane.shape, tf.float32),
        plane,
        tf.TensorSpec((size, 12), tf.int32),
        tf.TensorSpec((size, 2), tf.int32),
    )


def test_a_resumed_run_goes_on_where_it_stopped(pattern):
    experiment = _experiment(pattern)
    whole = _take(experiment, 5, batch_size=2, seed=3)
    _assert_same(_take(experiment, 5, batch_size=2, seed=3), whole)
    _assert_same(_take(experiment, 2, batch_size=2, seed=3, start=6), whole[3:])
    keys = [tuple(key) for _, found in whole for key in found.key]
    assert len(set(keys)) == len(keys)


def test_pasting_changes_some_pixels_and_no_other(pattern):
    """The same seed without pasting gives what lies under the pasted segments."""
    pasted = _take(_experiment(pattern), 8, batch_size=1, seed=5)
    plain = _take(_experiment(pattern, None), 8, batch_size=1, seed=5)
    shares = []
    for (image, found), (under, expected) in zip(pasted, plain, strict=True):
        is_same = (image == under).all(-1)
        np.testing.assert_array_equal(found.semantic[is_same], expected.semantic[is_same])
        shares.append(1 - is_same.mean())
    assert 0 < np.mean(shares) < 0.9


def test_a_second_sample_is_half_as_large(pattern):
    experiment = _experiment(pattern)
    second = recipes.from_options(experiment.train_dataset_options, experiment.model_options).second()
    assert (second.scales.smallest, second.scales.largest) == (0.25, 1.0)
    assert second.padding == second.labels.void + 1


def test_scale_zero_pastes_nothing(pattern):
    off = _experiment(pattern, config.PanopticCopyPasteOptions())
    _assert_same(_take(off, 2, seed=1), _take(_experiment(pattern, None), 2, seed=1))


def test_evaluation_samples_hold_masks(pattern):
    (sample, *_) = pipeline.evaluation_samples(_experiment(pattern))
    assert isinstance(sample.targets, tensors.MaskTargets)
    assert sample.targets.thing_id_mask.shape == (1, HEIGHT, WIDTH)
    np.testing.assert_array_equal(sample.targets.key, [[0, 0]])
