# SPDX-License-Identifier: Apache-2.0
"""Runners on other machines: checked before any work begins; their failures become one line."""

import contextlib
import logging
import threading
from collections.abc import Iterator

import grpc
from apache_beam.options import pipeline_options
from apache_beam.runners import runner as runners

from panpipe.model import errors
from panpipe.pipelines.running import mistakes

_SECONDS_TO_ANSWER = 10.0
# Beam takes one number for the time that a server has to answer and for that which a job may last.
_SECONDS_OF_A_JOB = 10**7
_NO_PIP = 'disable_logging_submission_environment'  # which pip would tell, if it were installed
_READER = 'wait_until_finish_read'  # Beam's thread that reads messages
_TRACEBACK = 'Traceback (most recent call last)'
_SHOWN = 300  # characters of what a runner says


def check(beam_options: pipeline_options.PipelineOptions) -> None:
    """Checks that the server of --job_endpoint answers, if there is one, and lifts the time limit of jobs.

    Raises:
      errors.InputError: it does not.
    """
    portable = beam_options.view_as(pipeline_options.PortableOptions)
    beam_options.view_as(pipeline_options.DebugOptions).add_experiment(_NO_PIP)
    if 'job_server_timeout' not in portable.get_all_options(drop_default=True):
        portable.job_server_timeout = _SECONDS_OF_A_JOB
    if not portable.job_endpoint or portable.job_endpoint == 'embed':
        return
    channel = grpc.insecure_channel(portable.job_endpoint)
    try:
        grpc.channel_ready_future(channel).result(_SECONDS_TO_ANSWER)
    except grpc.FutureTimeoutError as error:
        raise errors.InputError(
            f'--job_endpoint {portable.job_endpoint}: no job server answers there within '
            f'{_SECONDS_TO_ANSWER:.0f} seconds; start it, or correct HOST:PORT'
        ) from error
    finally:
        channel.close()


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Silences the runner's log and Beam's threads; the exception carries the same facts."""
    disabled, hook = logging.root.manager.disable, threading.excepthook

    def listen(raised: threading.ExceptHookArgs) -> None:
        if raised.thread is None or raised.thread.name != _READER:
            hook(raised)

    logging.disable(logging.ERROR)
    threading.excepthook = listen
    try:
        yield
    finally:
        logging.disable(disabled)
        threading.excepthook = hook


@contextlib.contextmanager
def in_one_line(beam_options: pipeline_options.PipelineOptions) -> Iterator[None]:
    """Turns the failure of a runner into one line; the traceback of a worker passes through.

    Raises:
      errors.JobError: it failed, neither by a user's mistake nor by a fault of the program.
    """
    try:
        yield
    except Exception as error:
        is_known = mistakes.message(error) is not None or mistakes.is_interrupted(error)
        if is_known or _TRACEBACK in str(error):
            raise
        name = beam_options.view_as(pipeline_options.StandardOptions).runner
        details = error.details() if isinstance(error, grpc.Call) else str(error)
        reason = ' '.join((details or type(error).__name__).split())[:_SHOWN]
        raise errors.JobError(f'--runner={name} failed: {reason}; give the same command again') from error


def wait(result: runners.PipelineResult) -> None:
    """Waits for the end of a job, and cancels it when this program is interrupted."""
    try:
        result.wait_until_finish()
    except (KeyboardInterrupt, SystemExit):
        with contextlib.suppress(Exception):
            result.cancel()
        raise
