# SPDX-License-Identifier: Apache-2.0
"""What can be said of TPUs without one: absence is told, and what they would run compiles and is right."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

import experiments
import small
from panpipe.model import datasets, errors, inference, train
from panpipe.model.inputs import pipeline
from panpipe.model.training import tpu

_SPEC = datasets.SPECS['cityscapes_panoptic'].labels
_NUMBERS = inference.Postprocessing(0.1, 3, 20, 8, use_op=False)


@pytest.mark.parametrize('name', ['local', 'grpc://127.0.0.1:9'])
def test_the_absence_of_a_tpu_is_told(name):
    with pytest.raises(
        errors.InputError, match=f'--tpu {name}: no TPU answers .*; give local on a TPU VM'
    ) as caught:
        tpu.strategy(name)
    assert '\n' not in str(caught.value)


def test_the_job_ends_with_one_line(tmp_path, capsys):
    arguments = ['--config', str(experiments.CONFIG), '--model_dir', str(tmp_path), '--tpu', 'local']
    overrides = [f'--set={entry}' for entry in experiments.overrides('unused')]
    assert train.main([*arguments, *overrides]) == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if 'note:' not in line]
    assert len(lines) == 1
    assert lines[0].startswith(
        'panpipe train: error: --tpu local: no TPU answers (TPUs not found in the cluster); give'
    )
    assert not list(tmp_path.iterdir())


def test_training_samples_have_shapes_known_beforehand(tmp_path):
    experiment = experiments.load(experiments.write_records(tmp_path))
    spec = pipeline.training_samples(experiment, seed=0).element_spec
    assert all(part.shape.is_fully_defined() for part in tf.nest.flatten(spec))


@pytest.mark.parametrize(
    ('views', 'has_instances'),
    [
        pytest.param(inference.Views(), True, id='panoptic'),
        pytest.param(inference.Views((1.0,), True), True, id='panoptic-flipped', marks=pytest.mark.slow),
        pytest.param(inference.Views(), False, id='semantic', marks=pytest.mark.slow),
        pytest.param(inference.Views((1.0,), True), False, id='semantic-flipped', marks=pytest.mark.slow),
    ],
)
def test_compiled_predictions_equal_those_of_evaluation(views, has_instances):
    trained = small.make().network

    def network(*arguments, **options):
        heads = trained(*arguments, **options)
        # Heat-maps as of a trained network: a few centers.
        heads = heads._replace(center_heatmap=heads.center_heatmap * 2)
        return heads if has_instances else heads._replace(center_heatmap=None, offset=None)

    images, _ = small.batch(1, seed=3)
    expected, wanted, probability = inference.predict(network, images, _SPEC, views, _NUMBERS)
    predictor = tpu.Predictor(network, _SPEC, views, _NUMBERS)
    found, heads, sure = tf.function(predictor, jit_compile=True)(images)
    for name, value in expected._asdict().items():
        np.testing.assert_allclose(getattr(found, name), value, atol=1e-5, err_msg=name)
    if not views.is_plain:
        np.testing.assert_allclose(sure, probability, atol=1e-5)
    for ours, theirs in zip(heads, wanted, strict=True):
        if theirs is not None:
            np.testing.assert_allclose(ours, theirs, atol=1e-4)
    assert has_instances == bool(tf.reduce_any(found.instance > 0))


def test_numbers_are_those_of_post_processing():
    """A field that is added there must find its way here."""
    assert {field.name for field in dataclasses.fields(inference.Postprocessing)} == {
        'center_threshold', 'nms_kernel', 'keep_k_centers', 'stuff_area_limit', 'use_op',
    }  # fmt: skip
