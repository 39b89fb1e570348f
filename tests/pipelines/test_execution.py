# SPDX-License-Identifier: Apache-2.0
"""Pipelines run here by default, and a mistake found on a worker comes back as one."""

import logging

import apache_beam as beam
import pytest
from apache_beam.options import pipeline_options
from apache_beam.testing import util

from panpipe.model import errors
from panpipe.pipelines import execution
from panpipe.pipelines.running import mistakes


def _complain(number):
    raise errors.InputError(f'folder {number}/a.png is cut short (at byte 7);\nfetch it again')


def _break(number):
    raise KeyError(f'bug {number}')


def test_runs_in_this_process_by_default():
    found = execution.options()
    assert found.view_as(pipeline_options.StandardOptions).runner == 'FnApiRunner'
    execution.run(
        lambda pipeline: util.assert_that(
            pipeline | beam.Create([1, 2]) | beam.Map(lambda x: x + 1), util.equal_to([2, 3])
        ),
        found,
    )


@pytest.mark.parametrize(
    ('arguments', 'expected'),
    [
        ([], True),
        (['--direct_running_mode=multi_threading', '--direct_num_workers=2'], True),
        (['--direct_running_mode=multi_processing', '--direct_num_workers=2'], False),
        (['--runner=FlinkRunner'], False),
    ],
)
def test_what_runs_in_one_process(arguments, expected):
    assert execution.is_one_process(execution.options(arguments)) == expected


def test_a_given_runner_is_kept():
    found = execution.options(['--runner', 'DirectRunner', '--direct_num_workers=2'])
    assert found.view_as(pipeline_options.StandardOptions).runner == 'DirectRunner'
    assert found.view_as(pipeline_options.DirectOptions).direct_num_workers == 2


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (['--num_shrads=3'], '--num_shrads: neither an option of this job nor of Apache Beam'),
        (['--num_shrads', '3'], '--num_shrads: neither'),
        (['records'], 'records: neither'),
        (['--runner=DirectRunner', 'records'], 'records: neither'),
        (['--runner=Dirct'], '--runner=Dirct: Unexpected pipeline runner'),
        (['--direct_num_workers=x'], "--direct_num_workers: invalid int value: 'x'"),
        (['--runner=no.such.Runner'], "--runner=no.such.Runner: No module named 'no'"),
    ],
)
def test_unknown_options_are_told(arguments, message):
    with pytest.raises(errors.InputError, match=message):
        execution.options(arguments)


@pytest.mark.parametrize('mode', ['in_memory', 'multi_threading'])
@pytest.mark.parametrize('depth', [0, 2])
def test_mistakes_on_workers_come_back(mode, depth, capfd):
    def build(pipeline):
        numbers = pipeline | beam.Create([1])
        for step in range(depth):
            numbers |= f'Pass {step}' >> beam.Map(lambda x: x)
        numbers | 'Load' >> beam.Map(_complain)

    level = logging.getLogger('apache_beam').level
    with pytest.raises(errors.InputError) as caught:
        execution.run(build, execution.options([f'--direct_running_mode={mode}', '--direct_num_workers=2']))
    assert str(caught.value) == 'folder 1/a.png is cut short (at byte 7); fetch it again'
    assert 'Traceback' not in capfd.readouterr().err
    assert logging.getLogger('apache_beam').level == level


@pytest.mark.parametrize('mode', ['in_memory', 'multi_threading'])
def test_faults_of_the_program_stay_what_they_are(mode, capfd):
    options = execution.options([f'--direct_running_mode={mode}', '--direct_num_workers=2'])
    with pytest.raises((KeyError, RuntimeError), match='bug 1'):
        execution.run(lambda pipeline: pipeline | beam.Create([1]) | beam.Map(_break), options)
    assert mode == 'in_memory' or 'Traceback' in capfd.readouterr().err


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        ("panpipe.model.errors.InputError: a [while running 'Load-ptransform-12']", 'a'),
        (
            'Traceback (most recent call last):\n  File "x"\npanpipe.model.errors.InputError: a\nb\n\nDuring',
            'a b',
        ),
        ('errors.InputError: a\n\nTraceback (most recent call last):\nKeyError', 'a'),
        ('InputError: a: b, see [1]', 'a: b, see [1]'),
        ('KeyError: InputErrors are fine', None),
        ('', None),
    ],
)
def test_mistake_reads_tracebacks(text, message):
    assert mistakes.message(RuntimeError(text)) == message


def _interrupt(number):
    raise KeyboardInterrupt


@pytest.mark.parametrize('mode', ['in_memory', 'multi_threading'])
def test_interruptions_on_workers_come_back(mode, capfd):
    options = execution.options([f'--direct_running_mode={mode}', '--direct_num_workers=2'])
    with pytest.raises(KeyboardInterrupt):
        execution.run(lambda pipeline: pipeline | beam.Create([1]) | beam.Map(_interrupt), options)
    assert 'Traceback' not in capfd.readouterr().err


def test_words_of_an_interruption_elsewhere_are_none():
    assert not mistakes.is_interrupted(RuntimeError('KeyError: a KeyboardInterrupt'))
    assert mistakes.is_interrupted(RuntimeError('Traceback:\n  File "x"\nKeyboardInterrupt\n\n'))


def test_mistake_follows_causes():
    outer = RuntimeError('pipeline failed')
    outer.__cause__ = errors.InputError("a\nb [while running 'Load']")
    assert mistakes.message(outer) == 'a b'


@pytest.mark.slow
def test_mistakes_in_worker_processes_come_back(capfd):
    options = execution.options(['--direct_running_mode=multi_processing', '--direct_num_workers=2'])
    with pytest.raises(errors.InputError, match=r'a\.png is cut short \(at byte 7\); fetch it again$'):
        execution.run(lambda pipeline: pipeline | beam.Create([1, 2]) | beam.Map(_complain), options)
    assert 'Traceback' not in capfd.readouterr().err
