# SPDX-License-Identifier: Apache-2.0
"""Training on several workers: real processes on the loopback of this machine, `workers.py`."""

import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest

import experiments
import workers

ROUNDS = 10  # trainings in which a worker is killed


def _run(name, folder, number):
    experiments.write_records(folder, 8)
    environment = {**os.environ, 'PYTHONPATH': str(pathlib.Path(workers.__file__).parent)}
    command = [sys.executable, workers.__file__, name, str(folder), str(number)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout.splitlines()


@pytest.mark.slow
@pytest.mark.parametrize('parts', [1, 2])
def test_workers_train_as_one_process_does(tmp_path, parts):
    """At an equal global batch: losses, weights after plain gradient steps, averages, moving statistics."""
    _run('equal', tmp_path, parts)
    one = dict(np.load(tmp_path / '1_0.npz'))
    moved = np.linalg.norm(one['weights_0'] - one['before'])
    assert moved > 1e-3
    for place in ('2_0', '2_1', '3_0', '3_1', '3_2', 'mirrored_0'):
        found = dict(np.load(tmp_path / f'{place}.npz'))
        assert found.keys() == one.keys()
        np.testing.assert_array_equal(found['before'], one['before'])
        for name, value in one.items():
            np.testing.assert_allclose(found[name], value, rtol=2e-6, atol=2e-7, err_msg=f'{place} {name}')
        change = found['weights_0'] - one['weights_0']
        assert np.linalg.norm(change) < 1e-3 * moved


@pytest.mark.slow
def test_a_worker_that_is_told_to_end_ends_all_and_they_go_on_to_the_same_weights(tmp_path):
    assert _run('terminated', tmp_path, 2) == ['round 0', 'round 1']


@pytest.mark.slow
def test_a_killed_worker_ends_all_and_they_go_on_to_the_same_weights(tmp_path):
    lines = _run('killed', tmp_path, ROUNDS)
    assert len([line for line in lines if line.startswith('round')]) == ROUNDS
