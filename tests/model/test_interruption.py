# SPDX-License-Identifier: Apache-2.0
"""A training that is killed at a random moment and started again ends where an undisturbed one ends."""

import os
import random
import re
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import tensorflow as tf

import experiments

STEPS = 8
PATIENCE = 300  # seconds


def _start(pattern, model_dir, every=1):
    fields = ('trainer_options.steps_per_loop=1', f'trainer_options.save_checkpoints_steps={every}')
    summaries = 'trainer_options.save_summaries_steps=1'
    sets = [f'--set={field}' for field in experiments.overrides(pattern, STEPS, *fields, summaries)]
    command = [sys.executable, '-m', 'panpipe.model.train', '--config', str(experiments.CONFIG)]
    return subprocess.Popen(
        [*command, '--model_dir', str(model_dir), '--mode', 'train', *sets],
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, 'CUDA_VISIBLE_DEVICES': '-1'},
    )


def _finish(process):
    _, error = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, error[-2000:]
    return error


def _wait_for(file, process):
    end = time.monotonic() + PATIENCE
    while not file.exists():
        assert process.poll() is None, process.stderr.read()[-2000:]
        assert time.monotonic() < end
        time.sleep(0.01)


def _variables(folder):
    reader = tf.train.load_checkpoint(str(folder))
    names = set(reader.get_variable_to_shape_map()) - {'save_counter/.ATTRIBUTES/VARIABLE_VALUE'}
    return {name: reader.get_tensor(name) for name in names}


@pytest.mark.slow
def test_a_killed_training_goes_on_to_the_same_weights(tmp_path):
    pattern = experiments.write_records(tmp_path)
    _finish(_start(pattern, tmp_path / 'whole'))
    killed = _start(pattern, tmp_path / 'killed')
    _wait_for(tmp_path / 'killed/toy_cityscapes' / f'ckpt-{random.randint(0, 4)}.index', killed)
    time.sleep(random.uniform(0, 1))
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    assert killed.returncode == -signal.SIGKILL
    assert 'going on from' in _finish(_start(pattern, tmp_path / 'killed'))
    _assert_same(tmp_path / 'killed', tmp_path / 'whole')


@pytest.mark.slow
def test_a_terminated_training_saves_what_it_has_and_goes_on_to_the_same_weights(tmp_path):
    """No checkpoint is due before the end, so that what it goes on from is what SIGTERM made it save."""
    pattern = experiments.write_records(tmp_path)
    _finish(_start(pattern, tmp_path / 'whole', every=1000))
    ended = _start(pattern, tmp_path / 'ended', every=1000)
    _wait_for_summaries(tmp_path / 'ended/toy_cityscapes/train', random.randint(1, 4), ended)
    ended.send_signal(signal.SIGTERM)
    _, error = ended.communicate(timeout=PATIENCE)
    assert ended.returncode == 143, error[-2000:]
    told = re.search(r'SIGTERM: saved step (\d+) in [\d.]+ s, ([\d.]+) s after the signal', error)
    assert float(told[2]) < 25
    assert 1 <= int(told[1]) < STEPS
    assert f'ckpt-{told[1]}' in _finish(_start(pattern, tmp_path / 'ended', every=1000))
    _assert_same(tmp_path / 'ended', tmp_path / 'whole')


def _wait_for_summaries(folder, number, process):
    """Waits until the file of summaries has grown that often: with the first batch, then with each step."""
    size = 0
    while number:
        assert process.poll() is None, process.stderr.read()[-2000:]
        found = sum(path.stat().st_size for path in folder.glob('*tfevents*'))
        number -= found > size
        size = found
        time.sleep(0.01)


def _assert_same(folder, other):
    found, expected = (_variables(place / 'toy_cityscapes') for place in (folder, other))
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        if name != '_CHECKPOINTABLE_OBJECT_GRAPH':
            np.testing.assert_array_equal(found[name], value, err_msg=name)
