# SPDX-License-Identifier: Apache-2.0
"""Beam's runner of this machine: quiet, and aware of worker processes that were killed."""

import contextlib
import logging
import os
import shutil
import signal
import sys
import tempfile
import threading
from collections.abc import Iterator
from typing import TextIO

from apache_beam.options import pipeline_options
from apache_beam.runners.portability import fn_api_runner
from apache_beam.transforms import environments

from panpipe.model import errors
from panpipe.pipelines.running import mistakes, worker_process

_NAMES = ('FnApiRunner', 'DirectRunner', 'BundleBasedDirectRunner', 'SwitchingDirectRunner')
_PROCESSES = 'multi_processing'
# After a killed worker the runner may wait for ever for what it will not say.
_SECONDS_TO_STOP = 10.0


def serves(beam_options: pipeline_options.PipelineOptions) -> bool:
    """Returns whether the options ask for this runner."""
    return beam_options.view_as(pipeline_options.StandardOptions).runner in _NAMES


def has_processes(beam_options: pipeline_options.PipelineOptions) -> bool:
    """Returns whether workers are processes of this machine."""
    return serves(beam_options) and _mode(beam_options) == _PROCESSES


def adapted(
    beam_options: pipeline_options.PipelineOptions,
) -> tuple[fn_api_runner.FnApiRunner | None, pipeline_options.PipelineOptions]:
    """Returns a runner whose worker processes end with this one, with its options; None for Beam's choice."""
    if not has_processes(beam_options):
        return None, beam_options
    told = {**beam_options.get_all_options(drop_default=True), 'direct_running_mode': 'in_memory'}
    environment = environments.SubprocessSDKEnvironment.from_command_string(worker_process.command())
    runner = fn_api_runner.FnApiRunner(default_environment=environment)
    return runner, pipeline_options.PipelineOptions.from_dictionary(told)


@contextlib.contextmanager
def watched(beam_options: pipeline_options.PipelineOptions, console: TextIO) -> Iterator[None]:
    """Ends the program with one line when a worker process is killed: the runner would wait for ever.

    Raises:
      errors.JobError: one was.
    """
    if not has_processes(beam_options) or threading.current_thread() is not threading.main_thread():
        yield
        return
    before, deaths, is_over = threading.excepthook, list[str](), threading.Event()
    end = threading.Timer(_SECONDS_TO_STOP, lambda: _end(deaths[0], console))
    end.daemon = True

    def report(raised: threading.ExceptHookArgs) -> None:
        if raised.thread is None or raised.thread.name != 'run_worker' or is_over.is_set():
            before(raised)
            return
        deaths.append(f'a worker process was killed ({raised.exc_value}); run the same command again')
        if len(deaths) == 1:
            end.start()
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

    threading.excepthook = report
    try:
        yield
    except BaseException as error:
        if deaths and mistakes.message(error) is None:
            raise errors.JobError(deaths[0]) from None
        raise
    finally:
        is_over.set()
        end.cancel()
        threading.excepthook = before


@contextlib.contextmanager
def quiet(beam_options: pipeline_options.PipelineOptions) -> Iterator[None]:
    """Silences Beam's log of workers that fail on this machine; the exception carries the same facts."""
    logger = logging.getLogger('apache_beam')
    level = logger.level
    if serves(beam_options):
        logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(level)


@contextlib.contextmanager
def held_back(beam_options: pipeline_options.PipelineOptions) -> Iterator[TextIO]:
    """Buffers standard error while workers run in parallel, because Beam prints each failure there at length.

    The buffer is shown if the pipeline fails for another reason than a user's mistake.

    Yields:
      A stream that still writes to the console.
    """
    if _mode(beam_options) == 'in_memory':
        yield sys.stderr
        return
    sys.stderr.flush()
    with tempfile.TemporaryFile('w+') as aside, open(os.dup(2), 'w', buffering=1) as console:
        os.dup2(aside.fileno(), 2)
        try:
            with contextlib.redirect_stderr(aside):
                yield console
        except Exception as error:
            is_told = isinstance(error, errors.JobError) or mistakes.message(error) is not None
            if not is_told and not mistakes.is_interrupted(error):
                aside.seek(0)
                shutil.copyfileobj(aside, console)
            raise
        finally:
            os.dup2(console.fileno(), 2)


def _mode(beam_options: pipeline_options.PipelineOptions) -> str:
    return str(beam_options.view_as(pipeline_options.DirectOptions).direct_running_mode)


def _end(line: str, console: TextIO) -> None:
    print(f'panpipe: error: {line}', file=console, flush=True)
    os._exit(1)
