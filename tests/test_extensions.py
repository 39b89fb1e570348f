# SPDX-License-Identifier: Apache-2.0
"""The recipes of docs/architecture.md are true: each is followed with a made-up part."""

import json

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

import experiments
import extensions
import judged
import synthetic
from panpipe.components import command
from panpipe.model import build, config, datasets
from panpipe.model.building import encoders
from panpipe.model.experiment import names
from panpipe.model.losses import total
from panpipe.model.training import solver
from panpipe.pipelines import report


@pytest.fixture
def add(monkeypatch):
    """Adds an entry to one of the tables of `names`."""

    def put(table, name):
        entries = {**getattr(names, table), name: f'extensions.{name}'}
        monkeypatch.setattr(names, table, entries)

    return put


def _checked(*fields):
    experiment = experiments.load('nowhere', 4, *fields)
    config.check(experiment)
    return experiment


def test_a_loss(add):
    field = 'trainer_options.loss_options.center_loss.name=huber'
    with pytest.raises(ValueError, match="'huber'; it is one of mse, l1"):
        _checked(field)
    add('CENTER_LOSSES', 'huber')
    options = _checked(field).trainer_options.loss_options.center_loss
    prediction, target = tf.constant([[[[0.0], [3.0]]]]), tf.zeros((1, 1, 2, 1))
    found = total._regression(prediction, target, tf.ones((1, 1, 2)), options)
    # The mean goes over the pixels that are not 0.
    assert found.numpy().tolist() == [options.weight * 2.5]


def test_an_optimizer_and_a_learning_policy(add):
    add('OPTIMIZERS', 'lion')
    add('LEARNING_POLICIES', 'constant_decay')
    path = 'trainer_options.solver_options'
    fields = ('optimizer=lion', 'learning_policy=constant_decay', 'warmup_steps=0')
    options = _checked(*(f'{path}.{field}' for field in fields)).trainer_options
    network = build.network(experiments.load('nowhere'))
    group = solver.optimizers(options.solver_options, network)['optimizer']
    assert type(group.optimizer).__name__ == 'Lion'
    rates = [float(solver.schedule(options.solver_options)(step)) for step in (0, 3)]
    assert rates[0] == rates[1]


def test_a_convolution(add):
    add('CONVOLUTIONS', 'plain_conv')
    field = 'model_options.panoptic_deeplab.semantic_head.head_conv_type=plain_conv'
    assert build.network(_checked(field)).count_params() > 0


def test_a_backbone(monkeypatch):
    monkeypatch.setattr(
        encoders, 'BACKBONES', {**encoders.BACKBONES, 'pyramid': lambda options, norm: extensions.Pyramid()}
    )
    network = build.network(_checked('model_options.backbone.name=pyramid'))
    assert network(tf.zeros((1, 33, 65, 3))).center_heatmap.shape[-1] == 1


@pytest.fixture
def flat(tmp_path, monkeypatch):
    """Adds a layout, and writes a data set of it: (root, description, its maps by name)."""
    layout = datasets.Layout('flat_layout', 'coco')
    monkeypatch.setattr(datasets, 'LAYOUTS', {**datasets.LAYOUTS, 'flat': layout})
    description = tmp_path / 'flat.json'
    categories = [
        {'id': i, 'name': name, 'color': [i, 0, 0], 'is_thing': name == 'cat', 'official_id': i}
        for i, name in enumerate(('cat', 'grass', 'sky'))
    ]
    numbers = {'num_classes': 3, 'label_divisor': 100, 'ignore_label': 255}
    description.write_text(json.dumps({'layout': 'flat', **numbers, 'categories': categories}))
    spec, rng = datasets.find(str(description)), np.random.default_rng(3)
    folder = tmp_path / 'raw/val'
    folder.mkdir(parents=True)
    for number in range(3):
        panoptic = synthetic.panoptic_map(rng, spec.labels)
        Image.fromarray(rng.integers(0, 256, (*panoptic.shape, 3), np.uint8)).save(folder / f'{number}.png')
        np.save(folder / f'{number}.npy', panoptic)
    return folder.parent, description


def test_a_layout(flat, tmp_path):
    """Records, predictions, both evaluations and the report read it, and all agree."""
    root, description = flat
    found = judged.converted(tmp_path, root, description)
    assert len(found) == 3
    for name, record in found.items():
        np.testing.assert_array_equal(record.panoptic, np.load(root / f'val/{name}.npy'))
    folder = judged.predicted(tmp_path, found, description)
    figures = judged.scored(folder, root, description, '--dataset', description)
    assert figures['num_images'] == 3
    for truth in (root, tmp_path / 'records' / 'val*'):
        own = judged.evaluated(folder, truth, description)
        assert own['pq'] == pytest.approx(figures['pq'])
    page = tmp_path / 'report.html'
    given = ['--ground_truth', str(root), '--predictions', str(folder), '--output', str(page)]
    assert report.main(['--dataset', str(description), *given]) == 0
    assert 'grass' in page.read_text()


def test_a_job(monkeypatch, capsys):
    monkeypatch.setattr(command, 'JOBS', {**command.JOBS, 'greet': command.Job('extensions', 'greet')})
    assert command.main(['greet', '--name', 'you']) == 0
    assert capsys.readouterr().out == 'hello you\n'
    with pytest.raises(SystemExit, match='2'):
        command.main(['greet', '--nome', 'you'])
