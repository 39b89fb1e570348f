# SPDX-License-Identifier: Apache-2.0
"""Real signals in real processes; a whole training meets them in tests/model/test_interruption.py."""

import os
import signal
import subprocess
import sys

import pytest

from panpipe.model import errors
from panpipe.model.training import interruption

PROGRAM = """
import sys, time
from panpipe.model.training import interruption
with interruption.Watch() as watch:
    print('ready', flush=True)
    for step in range(600):
        time.sleep({seconds})
        if watch.is_over:
            watch.leave(lambda: print('saved', flush=True), step)
"""


def _signalled(seconds, **variables):
    """Starts the program, sends SIGTERM, and returns status and output."""
    process = subprocess.Popen(
        [sys.executable, '-c', PROGRAM.format(seconds=seconds)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **variables},
    )
    assert process.stdout.readline() == 'ready\n'
    process.send_signal(signal.SIGTERM)
    out, error = process.communicate(timeout=60)
    return process.returncode, out, error


def test_what_there_is_gets_saved():
    status, out, error = _signalled(0.01)
    assert (status, out) == (143, 'saved\n')
    assert 'SIGTERM: saved step' in error
    assert error.count('\n') == 1


def test_the_process_leaves_when_the_grace_period_is_over():
    status, out, error = _signalled(600, PANPIPE_GRACE_SECONDS='0.2')
    assert (status, out) == (143, '')
    assert error.strip() == (
        'panpipe train: SIGTERM: nothing could be saved within 0.2 s; the next start goes on from the newest '
        'checkpoint'
    )


def test_outside_the_signal_means_what_it_did_before():
    before = signal.getsignal(signal.SIGTERM)
    with interruption.Watch():
        assert signal.getsignal(signal.SIGTERM) != before
    assert signal.getsignal(signal.SIGTERM) == before


def test_a_grace_period_that_is_no_number_is_told(monkeypatch):
    monkeypatch.setenv(interruption.VARIABLE, 'long')
    with pytest.raises(errors.InputError, match='give a number of seconds'):
        interruption.Watch()
