# SPDX-License-Identifier: Apache-2.0
"""The runner of this machine is quiet; workers end with their driver. Killed ones: test_interruptions.py."""

import contextlib
import logging
import os
import subprocess
import sys
import threading

import pytest
from apache_beam.options import pipeline_options

from panpipe.model import errors
from panpipe.pipelines.running import local_runner, worker_process


def _options(*given):
    return pipeline_options.PipelineOptions(['--runner=FnApiRunner', *given])


PROCESSES = '--direct_running_mode=multi_processing'


@pytest.mark.parametrize(('given', 'expected'), [([], False), ([PROCESSES], True)])
def test_worker_processes_are_asked_for_by_an_option(given, expected):
    options = _options(*given)
    assert local_runner.serves(options)
    assert local_runner.has_processes(options) == expected
    runner, adapted = local_runner.adapted(options)
    assert (runner is not None) == expected
    mode = adapted.view_as(pipeline_options.DirectOptions).direct_running_mode
    assert mode == 'in_memory'


def test_other_runners_are_none_of_this_machine():
    assert not local_runner.serves(pipeline_options.PipelineOptions(['--runner=DataflowRunner']))


def test_beam_is_quiet_inside_and_as_loud_as_before_outside():
    logger = logging.getLogger('apache_beam')
    before = logger.level
    with local_runner.quiet(_options()):
        assert logger.level == logging.CRITICAL
    assert logger.level == before


@pytest.mark.parametrize(
    ('error', 'is_shown'),
    [(errors.InputError('wrong'), False), (errors.JobError('failed'), False), (RuntimeError('fault'), True)],
)
def test_what_workers_print_is_shown_only_with_a_fault_of_the_program(error, is_shown, capfd):
    with contextlib.suppress(type(error)), local_runner.held_back(_options(PROCESSES)) as console:
        os.write(2, b'a long traceback\n')
        print('progress', file=console)
        raise error
    told = capfd.readouterr().err
    assert 'progress' in told
    assert ('a long traceback' in told) == is_shown


def test_a_worker_ends_with_the_process_that_started_it():
    worker = f'import time; from {worker_process.__name__} import end_with_parent; end_with_parent(); '
    worker += "print('ready', flush=True); time.sleep(60)"
    program = (
        'import os, subprocess, sys\n'
        f'child = subprocess.Popen([sys.executable, "-c", {worker!r}], stdout=subprocess.PIPE)\n'
        'child.stdout.readline()\n'
        'print(child.pid, flush=True)\n'
        'os.kill(os.getpid(), 9)\n'
    )
    done = subprocess.run([sys.executable, '-c', program], capture_output=True, text=True)
    pid = int(done.stdout)
    for _ in range(100):
        if not _lives(pid):
            return
        threading.Event().wait(0.1)
    raise AssertionError(f'process {pid} lives on')


def _lives(pid):
    """Tells whether a process runs; one that waits to be buried does not."""
    try:
        with open(f'/proc/{pid}/stat') as file:
            return file.read().rpartition(')')[2].split()[0] != 'Z'
    except FileNotFoundError:
        return False


def test_the_command_of_a_worker_names_its_module():
    assert worker_process.command().endswith(f'-m {worker_process.__name__}')
