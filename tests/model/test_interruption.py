# SPDX-License-Identifier: Apache-2.0
"""A training that is killed at a random moment and started again ends where an undisturbed one ends."""

import os
import random
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


def _start(pattern, model_dir):
    fields = ('trainer_options.steps_per_loop=1', 'trainer_options.save_checkpoints_steps=1')
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
    found, expected = (_variables(tmp_path / name / 'toy_cityscapes') for name in ('killed', 'whole'))
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        if name != '_CHECKPOINTABLE_OBJECT_GRAPH':
            np.testing.assert_array_equal(found[name], value, err_msg=name)
