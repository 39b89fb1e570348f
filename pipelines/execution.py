# SPDX-License-Identifier: Apache-2.0
"""Runs Beam pipelines, here unless the options say elsewhere, and tells a user's mistakes in one line."""

import contextlib
import logging
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from typing import TextIO

import apache_beam as beam
from apache_beam.options import pipeline_options
from apache_beam.runners import runner as runners

from panpipe.model import errors

# DirectRunner would first try to download another engine, and do without it where there is no network.
DEFAULT_RUNNER = 'FnApiRunner'
_IN_PROCESS = ('FnApiRunner', 'DirectRunner', 'BundleBasedDirectRunner', 'SwitchingDirectRunner')

# A worker's exception arrives as a traceback: '….InputError: what, where, cure [while running 'Load']'.
_MISTAKE = re.compile(
    r'(?:^|[\s.\'"])InputError: (?P<message>.*?)'
    r'(?=\s*\[while running|\n\s*\n|\nTraceback \(most|\n\s+File "|\\n|\Z)',
    re.DOTALL,
)

# As does Ctrl-C that reaches a worker: "KeyboardInterrupt [while running 'Load']".
_INTERRUPTED = re.compile(r'^KeyboardInterrupt\s*(?:\[while running|$)', re.MULTILINE)


def options(arguments: Sequence[str] = ()) -> pipeline_options.PipelineOptions:
    """Reads Beam's own options, for example `--runner=DataflowRunner --project=…`; see Beam's documentation.

    Without a runner the pipeline runs in this process.

    Raises:
      errors.InputError: an option is neither the job's nor Beam's, or the runner is unknown.
    """
    found = pipeline_options.PipelineOptions(list(arguments))
    standard = found.view_as(pipeline_options.StandardOptions)
    if standard.runner is None:
        standard.runner = DEFAULT_RUNNER
    strangers = _positional(arguments)
    if standard.runner in _IN_PROCESS:
        # Other runners bring options that only their own servers know.
        strangers += _unknown(found)
        found.view_as(pipeline_options.WorkerOptions).default_sdk_harness_log_level = 'CRITICAL'
    if strangers:
        raise errors.InputError(
            f'{", ".join(strangers)}: neither an option of this job nor of Apache Beam; see --help'
        )
    try:
        runners.create_runner(standard.runner)
    except (ImportError, ValueError, AttributeError) as error:
        raise errors.InputError(f'--runner={standard.runner}: {error}') from error
    return found


def is_one_process(beam_options: pipeline_options.PipelineOptions) -> bool:
    """Returns whether all workers are threads of this process."""
    runner = beam_options.view_as(pipeline_options.StandardOptions).runner
    mode = beam_options.view_as(pipeline_options.DirectOptions).direct_running_mode
    return runner in _IN_PROCESS and mode != 'multi_processing'


def run(
    build: Callable[[beam.Pipeline], object],
    beam_options: pipeline_options.PipelineOptions,
    progress: Callable[[TextIO], contextlib.AbstractContextManager[object]] = contextlib.nullcontext,
) -> None:
    """Builds a pipeline, runs it and waits for its end.

    Args:
      build: adds the transforms to an empty pipeline.
      beam_options: from `options`.
      progress: makes what is active meanwhile, and may write to the console that it is given.

    Raises:
      errors.InputError: a worker found a mistake of the user's.
      KeyboardInterrupt: it was interrupted, here or on a worker.
    """
    with _one_line(), _quiet(beam_options), _held_back(beam_options) as console:
        pipeline = beam.Pipeline(options=beam_options)
        build(pipeline)
        with progress(console):
            pipeline.run().wait_until_finish()


def mistake(error: BaseException) -> str | None:
    """Returns the message of the `InputError` that an exception is, comes from, or tells of in its text."""
    seen: BaseException | None = error
    while seen is not None:
        text = f'InputError: {seen}' if isinstance(seen, errors.InputError) else str(seen)
        match = _MISTAKE.search(text)
        if match:
            return ' '.join(match['message'].split())
        seen = seen.__cause__ or seen.__context__
    return None


def is_interrupted(error: BaseException) -> bool:
    """Returns whether an exception is, comes from, or reports a KeyboardInterrupt."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, KeyboardInterrupt) or _INTERRUPTED.search(str(seen)):
            return True
        seen = seen.__cause__ or seen.__context__
    return False


def _positional(arguments: Sequence[str]) -> list[str]:
    """Returns arguments that are neither an option nor, as in `--runner NAME`, its value."""
    before = ('', *arguments)
    return [
        argument
        for argument, last in zip(arguments, before, strict=False)
        if not argument.startswith('-') and (not last.startswith('--') or '=' in last)
    ]


def _unknown(found: pipeline_options.PipelineOptions) -> list[str]:
    with _quiet(found):
        known = found.get_all_options()
        return [
            f'--{name}' for name in found.get_all_options(retain_unknown_options=True) if name not in known
        ]


@contextlib.contextmanager
def _one_line() -> Iterator[None]:
    try:
        yield
    except Exception as error:
        if is_interrupted(error):
            raise KeyboardInterrupt from None
        message = mistake(error)
        if message is None:
            raise
        raise errors.InputError(message) from None


@contextlib.contextmanager
def _quiet(beam_options: pipeline_options.PipelineOptions) -> Iterator[None]:
    """Drops what Beam logs of workers that fail here: the exception, which comes anyway, tells it."""
    logger = logging.getLogger('apache_beam')
    level = logger.level
    if beam_options.view_as(pipeline_options.StandardOptions).runner in _IN_PROCESS:
        logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(level)


@contextlib.contextmanager
def _held_back(beam_options: pipeline_options.PipelineOptions) -> Iterator[TextIO]:
    """Keeps standard error aside while workers run in parallel, for Beam prints each failure there at length.

    It is shown when the pipeline fails of anything but a user's mistake.

    Yields:
      what still writes to the console.
    """
    if beam_options.view_as(pipeline_options.DirectOptions).direct_running_mode == 'in_memory':
        yield sys.stderr
        return
    sys.stderr.flush()
    with tempfile.TemporaryFile('w+') as aside, open(os.dup(2), 'w', buffering=1) as console:
        os.dup2(aside.fileno(), 2)
        try:
            with contextlib.redirect_stderr(aside):
                yield console
        except Exception as error:
            if mistake(error) is None and not is_interrupted(error):
                aside.seek(0)
                shutil.copyfileobj(aside, console)
            raise
        finally:
            os.dup2(console.fileno(), 2)
