# SPDX-License-Identifier: Apache-2.0
"""The export job: a SavedModel predicts from an image file what the network predicts, at the image's size."""

import json

import numpy as np
import pytest
import tensorflow as tf

import experiments
from panpipe.model import build, checkpoints, datasets, export, inference, predictor
from panpipe.model.inputs import pipeline
from panpipe.model.postprocess import restore

VIEWS = ('evaluator_options.eval_scales=0.5', 'evaluator_options.add_flipped_images=true')


@pytest.fixture(scope='module')
def run(tmp_path_factory):
    """A run's folder with a checkpoint of a fresh network, and the network."""
    folder = tmp_path_factory.mktemp('run')
    network = build.network(experiments.load('unused'))
    tf.train.CheckpointManager(tf.train.Checkpoint(**checkpoints.tree(network)), str(folder), 1).save()
    return folder, network


@pytest.mark.slow
def test_saved_model_equals_the_network(run, tmp_path):
    """Here at half the scale and mirrored too; the end-to-end test exports a network without."""
    folder, network = run
    output = tmp_path / 'exported'
    sets = [f'--set={field}' for field in experiments.overrides('unused', 4, *VIEWS)]
    arguments = [
        '--config',
        str(experiments.CONFIG),
        '--checkpoint',
        str(folder),
        '--output',
        str(output),
        *sets,
    ]
    assert export.main([*arguments, '--pure_tf']) == 0
    facts = json.loads((output / 'assets.extra/panpipe.json').read_text())
    assert facts['dataset'] == 'cityscapes_panoptic'
    assert not facts['uses_op']
    assert b'Panpipe' not in (output / 'saved_model.pb').read_bytes()
    image = np.random.default_rng(0).integers(0, 256, (40, 90, 3)).astype(np.uint8)
    serve = tf.saved_model.load(str(output)).signatures['serving_default']
    served = serve(image_bytes=tf.io.encode_png(image))

    experiment = experiments.load('unused', 4, *VIEWS)
    placed, resized = pipeline.placement(experiment.eval_dataset_options)(image)
    options = experiment.evaluator_options
    expected, _, _ = inference.predict(
        network,
        tf.ensure_shape(placed, (33, 65, 3))[None],
        datasets.SPECS['cityscapes_panoptic'].labels,
        inference.Views.from_options(options),
        inference.Postprocessing.from_options(options),
    )
    things = datasets.SPECS['cityscapes_panoptic'].labels.thing_ids
    seen = np.unique(expected.panoptic)
    assert served['instance_ids'].numpy().tolist() == [i for i in seen if i // 1000 in things]
    assert np.all(served['instance_scores'] <= 1)
    expected = restore.original_size(expected, resized, 40, 90)
    assert served['panoptic'].shape == (40, 90)
    for name, value in expected._asdict().items():
        # Another order of float operations may decide a pixel between two classes otherwise.
        assert np.mean(np.isclose(value[0], served[name], atol=1e-4)) > 0.99, name

    found = predictor.Predictor.open(output)(image)
    assert found.spec.name == 'cityscapes_panoptic'
    for name in ('panoptic', 'semantic'):
        np.testing.assert_array_equal(getattr(found, name), served[name])
    assert [*found.scores] == served['instance_ids'].numpy().tolist()


def test_output_that_exists_is_refused(run, tmp_path, capsys):
    arguments = ['--config', str(experiments.CONFIG), '--checkpoint', str(run[0]), '--output', str(tmp_path)]
    sets = [f'--set={field}' for field in experiments.overrides('unused')]
    assert export.main([*arguments, *sets]) == 2
    assert 'exists; remove it' in capsys.readouterr().err
