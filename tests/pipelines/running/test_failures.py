# SPDX-License-Identifier: Apache-2.0
"""Images that cannot be read end a job, or become dead letters, as its policy says."""

import argparse
import json

import pytest

import beams
from panpipe.model import errors
from panpipe.pipelines.running import failures

SKIP, FAIL = failures.Policy(skips=True), failures.Policy()
LETTER = failures.DeadLetter('0', 'is zero')


def _halves(number):
    """Yields a number and its half, but for odd ones the number alone, before a mistake."""
    yield number
    if number % 2:
        raise errors.InputError(f'{number}\n is odd')
    yield number // 2


def test_results_and_dead_letters_part():
    found = beams.outputs(failures.TryEach(failures.Try(SKIP, _halves), int), [4, 3])
    assert found == failures.Outcome([4, 2, 3], [('3', '3 is odd')])


def test_a_mistake_ends_the_job_unless_it_may_be_skipped():
    with pytest.raises(Exception, match='3\n is odd'):
        beams.outputs(failures.TryEach(failures.Try(FAIL, _halves)), [3])


def test_dead_letters_among_results_are_sorted_out():
    assert beams.outputs(failures.SortLetters(), [1, LETTER]) == failures.Outcome([1], [LETTER])


def test_dead_letters_are_joined():
    assert sorted(beams.outputs(failures.JoinLetters(), ['a'], ['b'])) == ['a', 'b']


def test_letters_are_written_once_each_and_old_ones_removed(tmp_path):
    path = tmp_path / 'out.dead_letters.jsonl'
    assert SKIP.settle(tmp_path / 'out', [LETTER, LETTER]) == 1
    assert json.loads(path.read_text()) == {'image': '0', 'reason': 'is zero'}
    assert SKIP.settle(tmp_path / 'out', []) == 0
    assert not path.exists()


def test_more_letters_than_may_be_are_refused_when_they_are_written(tmp_path):
    with pytest.raises(errors.InputError, match=r'1 images cannot be read, more than --max_errors 0; .*is z'):
        failures.Policy(skips=True, most=0).settle(tmp_path / 'out', [LETTER])
    assert (tmp_path / 'out.dead_letters.jsonl').exists()


@pytest.mark.parametrize(('given', 'most'), [([], None), (['--max_errors', '3'], 3)])
def test_options_make_a_policy(given, most):
    parser = argparse.ArgumentParser()
    failures.add_arguments(parser)
    assert failures.Policy.from_arguments(parser.parse_args([])) == FAIL
    arguments = parser.parse_args(['--on_error', 'skip', *given])
    assert failures.Policy.from_arguments(arguments) == failures.Policy(skips=True, most=most)


@pytest.mark.parametrize('given', [['--max_errors', '3'], ['--on_error', 'skip', '--max_errors', '-1']])
def test_options_that_contradict_are_refused(given):
    parser = argparse.ArgumentParser()
    failures.add_arguments(parser)
    with pytest.raises(errors.InputError, match='--max_errors needs --on_error skip and a number of at'):
        failures.Policy.from_arguments(parser.parse_args(given))
