# SPDX-License-Identifier: Apache-2.0
"""The recipes of docs/architecture.md are true: each is followed with a made-up part."""

import pytest
import tensorflow as tf

import experiments
import extensions
from panpipe.components import command
from panpipe.model import build, config
from panpipe.model.building import encoders
from panpipe.model.experiment import names
from panpipe.model.losses import total
from panpipe.model.training import solver


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


def test_a_job(monkeypatch, capsys):
    monkeypatch.setattr(command, 'JOBS', {**command.JOBS, 'greet': command.Job('extensions', 'greet')})
    assert command.main(['greet', '--name', 'you']) == 0
    assert capsys.readouterr().out == 'hello you\n'
    with pytest.raises(SystemExit, match='2'):
        command.main(['greet', '--nome', 'you'])
