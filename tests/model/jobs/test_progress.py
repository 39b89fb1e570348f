# SPDX-License-Identifier: Apache-2.0
"""Progress off a terminal: a line now and then, the last one always, with a time that is left."""

import time

import pytest

from panpipe.model.jobs import progress


@pytest.fixture(name='clock')
def fixture_clock(monkeypatch):
    """Stands still until a test moves it."""
    now = [100.0]
    monkeypatch.setattr(time, 'monotonic', lambda: now[0])
    return now


def _lines(capsys):
    out, told = capsys.readouterr()
    assert out == ''
    return told.splitlines()


def test_the_end_is_told_though_it_came_soon(capsys, clock):
    with progress.bar('train', total=3) as advance:
        for number in range(1, 4):
            clock[0] += 1
            advance(number, f'loss {number}')
    assert _lines(capsys) == ['train: 3/3  loss 3  (1.00 s each)']


def test_lines_come_five_seconds_apart(capsys, clock):
    with progress.bar('train', total=100) as advance:
        for number in range(1, 101):
            clock[0] += 0.5
            advance(number, '')
    told = [int(line.split()[1].split('/')[0]) for line in _lines(capsys)]
    assert told == list(range(10, 101, 10))


def test_what_is_left_follows_from_the_rate(capsys, clock):
    with progress.bar('evaluate', total=10) as advance:
        clock[0] += 8
        advance(4, 'image d')
    assert _lines(capsys) == ['evaluate: 4/10  image d  (2.00 s each, 12 s left)']


def test_what_was_done_before_does_not_count_for_the_rate(capsys, clock):
    with progress.bar('train', total=1000, done=990) as advance:
        clock[0] += 6
        advance(993, 'resumed')
    assert _lines(capsys) == ['train: 993/1000  resumed  (2.00 s each, 14 s left)']


def test_no_step_at_all_is_no_division_by_zero(capsys, clock):
    with progress.bar('train', total=5, done=5) as advance:
        clock[0] += 3
        advance(5, '')
    assert _lines(capsys) == ['train: 5/5    (3.00 s each)']


def test_nothing_is_told_where_nothing_is_done(capsys, clock):
    with progress.bar('train', total=5):
        clock[0] += 100
    assert _lines(capsys) == []


def test_a_failure_passes(clock):
    with pytest.raises(RuntimeError, match='stopped'), progress.bar('train', total=5):
        raise RuntimeError('stopped')


def test_a_terminal_gets_a_bar(capsys, monkeypatch):
    monkeypatch.setenv('FORCE_COLOR', '1')
    monkeypatch.setenv('TERM', 'xterm')
    monkeypatch.setenv('COLUMNS', '100')
    with progress.bar('train', total=4, done=1) as advance:
        advance(4, 'loss 0.1')
    told = '\n'.join(_lines(capsys))
    assert 'train' in told
    assert '4/4' in told
    assert 'loss 0.1' in told
    assert 's each' not in told
