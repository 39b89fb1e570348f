# SPDX-License-Identifier: Apache-2.0
"""Killed at any moment, a job ends soon with one line or completes; the same command then completes it."""

import os
import random
import signal
import time

import pytest

from distributed import bed as beds
from distributed import machines, way
from panpipe.model.storage import files

pytestmark = pytest.mark.distributed
TURNS = 20
SECONDS_TO_END = 80  # prism waits a minute for a worker that was killed before it was connected
ATTEMPTS = 3  # on a busy machine that minute may be too short for a worker that lives
# What dies: the driver alone, while the runner goes on; all of them; or one of the two workers.
VICTIMS = ('driver', 'all', 'worker', 'worker')


def _kill(bed, process, victim, chance):
    if victim == 'worker':
        machines.kill_group(bed.pools[chance.randrange(2)])
    else:
        os.killpg(process.pid, signal.SIGKILL)


@pytest.mark.parametrize('turn', range(TURNS))
def test_a_killed_job_is_completed(bed, here, seed, turn):
    chance = random.Random(f'{seed} {turn}')
    job, victim = chance.choice(('convert', 'predict')), chance.choice(VICTIMS)
    output = f'gs://data/turn{turn}'
    command = [job, *way.arguments(job, beds.INPUTS, output), *beds.REMOTE]
    process = beds.start(*command)
    # Nothing is worth killing before the job is planned.
    is_planned = machines.wait_until(lambda: bool(files.names(output)) or process.poll() is not None, 120)
    assert is_planned
    moment = chance.uniform(0, 20)
    time.sleep(moment)
    _kill(bed, process, victim, chance)
    killed = time.monotonic()
    told, _ = process.communicate(timeout=300)
    seconds = time.monotonic() - killed
    what = f'{job}, {victim} killed {moment:.1f} s after the plan: status {process.returncode}'
    print(f'turn {turn}: {what} {seconds:.1f} s later; {told.strip().splitlines()[-1:]}')
    assert process.returncode in ((0, 1) if victim == 'worker' else (0, -signal.SIGKILL)), told[-2000:]
    assert process.returncode == 0 or seconds < SECONDS_TO_END
    assert 'Traceback' not in told, f'{what}\n{told[-3000:]}'
    if victim != 'driver':
        bed.restart()
    if _is_to_be_done(job, output):
        _complete(command)
    beds.check_same(job, output, here)
    assert bed.are_workers_gone()


def _complete(command):
    """Gives the command again until it is done."""
    for _ in range(ATTEMPTS):
        ended = beds.run(*command)
        if ended.status == 0:
            return
        last = ended.told.strip().splitlines()[-1:]
        print(f'again: status {ended.status} after {ended.seconds:.1f} s; {last}')
        assert 'Traceback' not in ended.told, ended.told[-3000:]
    raise AssertionError(ended.told[-2000:])


def _is_to_be_done(job, output):
    """Returns False for complete predictions, which predict refuses to make again."""
    folder = f'{output}/predictions'
    return job != 'predict' or not files.exists(folder) or files.exists(f'{folder}/.unfinished/job.json')
