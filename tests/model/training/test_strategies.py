# SPDX-License-Identifier: Apache-2.0
import json

import pytest
import tensorflow as tf

import experiments
from panpipe.model import errors, train
from panpipe.model.training import strategies

_TWO = {'cluster': {'worker': ['a:1', 'b:2']}, 'task': {'type': 'worker', 'index': 0}}


@pytest.mark.parametrize(('batch_size', 'parts', 'fits'), [(8, 1, True), (8, 2, False), (12, 1, False)])
def test_replicas_share_a_batch_equally(batch_size, parts, fits):
    entries = [f'train_dataset_options.batch_size={batch_size}']
    entries += [f'trainer_options.gradient_accumulation_steps={parts}']
    experiment = experiments.load('unused', 4, *entries)
    if fits:
        strategies.check(experiment, 8)
    else:
        with pytest.raises(
            errors.InputError, match=f'which 8 replicas .*; set it to a multiple of {8 * parts}'
        ):
            strategies.check(experiment, 8)


def test_alone_without_a_gpu_it_is_the_processor():
    for name in ('auto', 'cpu'):
        place = strategies.start(name)
        assert place.strategy is tf.distribute.get_strategy()
        assert place.is_chief


@pytest.mark.parametrize(
    ('name', 'reason'),
    [
        ('gpu', 'TensorFlow sees no GPU here'),
        ('mirrored', 'wants two GPUs or more on this machine, but TensorFlow sees 0'),
        ('multi_worker', 'the environment names no other workers; set TF_CONFIG'),
        ('tpu', 'no TPU answers'),
    ],
)
def test_what_is_not_here_is_told(name, reason):
    if tf.config.list_physical_devices('GPU'):
        pytest.skip('this machine has a GPU')
    with pytest.raises(errors.InputError, match=reason):
        strategies.start(name)


def test_evaluation_stays_on_one_machine(monkeypatch):
    monkeypatch.setenv('TF_CONFIG', json.dumps(_TWO))
    assert strategies.start('auto', trains=False).cluster is None
    with pytest.raises(errors.InputError, match='multi_worker trains only'):
        strategies.start('multi_worker', trains=False)


def test_a_tpu_and_another_strategy_exclude_each_other(tmp_path, capsys):
    arguments = ['--config', str(experiments.CONFIG), '--model_dir', str(tmp_path), '--tpu=local']
    overrides = [f'--set={entry}' for entry in experiments.overrides('unused')]
    assert train.main([*arguments, *overrides, '--strategy=cpu']) == 2
    assert '--tpu local and --strategy cpu exclude each other' in capsys.readouterr().err
