# SPDX-License-Identifier: Apache-2.0
"""A runner elsewhere is asked first, and fails in one line."""

import logging
import socket

import pytest
from apache_beam.options import pipeline_options

from panpipe.model import errors
from panpipe.pipelines.running import remote_runner


def _options(*given):
    return pipeline_options.PipelineOptions(['--runner=PortableRunner', *given])


def test_a_server_that_does_not_answer_is_told_before_any_work(monkeypatch):
    monkeypatch.setattr(remote_runner, '_SECONDS_TO_ANSWER', 0.2)
    with socket.socket() as taken:
        taken.bind(('localhost', 0))
        endpoint = f'localhost:{taken.getsockname()[1]}'
        words = f'--job_endpoint {endpoint}: no job server answers there within 0 seconds; start it, or'
        with pytest.raises(errors.InputError, match=words):
            remote_runner.check(_options(f'--job_endpoint={endpoint}'))


@pytest.mark.parametrize(('given', 'expected'), [([], 10**7), (['--job_server_timeout=5'], 5)])
def test_jobs_may_last_unless_told_otherwise(given, expected):
    options = _options(*given)
    remote_runner.check(options)
    assert options.view_as(pipeline_options.PortableOptions).job_server_timeout == expected


def test_what_a_runner_fails_of_is_one_line():
    words = r'^--runner=PortableRunner failed: no space left; give the same command again$'
    with pytest.raises(errors.JobError, match=words), remote_runner.in_one_line(_options()):
        raise RuntimeError('no space\n left')


@pytest.mark.parametrize(
    'error',
    [
        errors.InputError('what, where, cure'),
        RuntimeError('Traceback (most recent call last): …'),
        RuntimeError("KeyboardInterrupt [while running 'Load']"),
    ],
)
def test_mistakes_interruptions_and_tracebacks_pass(error):
    with pytest.raises(type(error)) as caught, remote_runner.in_one_line(_options()):
        raise error
    assert caught.value is error


class _Result:
    """Stands for a job that is interrupted."""

    is_cancelled = False

    def wait_until_finish(self):
        raise KeyboardInterrupt

    def cancel(self):
        self.is_cancelled = True
        raise RuntimeError('too late')


def test_an_interrupted_job_is_cancelled():
    result = _Result()
    with pytest.raises(KeyboardInterrupt):
        remote_runner.wait(result)
    assert result.is_cancelled


def test_loggers_speak_again_afterwards(caplog):
    with remote_runner.quiet():
        logging.getLogger('beam').error('inside')
    logging.getLogger('beam').error('outside')
    assert caplog.messages == ['outside']
