# SPDX-License-Identifier: Apache-2.0
import pytest

from panpipe.components import notes

CONVERT = notes.Note('convert', 1000.0, 12.34, place='/work/records-1')
SCORE = notes.Note('score', 3000.0, 5.0, figures={'pq': 60.123})
TRAIN = notes.Note('train', 2000.0, 7.0, error='panpipe train: error: loss is nan')


@pytest.fixture(autouse=True)
def _run_name(monkeypatch):
    monkeypatch.setenv(notes.VARIABLE, 'panpipe-x7')


def test_notes_of_this_run_come_back_in_order(tmp_path, monkeypatch):
    work = str(tmp_path)
    for note in (SCORE, CONVERT, TRAIN):
        notes.leave(note, work)
    monkeypatch.setenv(notes.VARIABLE, 'another')
    notes.leave(notes.Note('report', 1.0, 1.0), work)
    monkeypatch.setenv(notes.VARIABLE, 'panpipe-x7')
    assert notes.read(work) == [CONVERT, TRAIN, SCORE]


def test_the_next_attempt_replaces_a_note(tmp_path):
    notes.leave(TRAIN, str(tmp_path))
    notes.leave(notes.Note('train', 2500.0, 9.0), str(tmp_path))
    assert [note.error for note in notes.read(str(tmp_path))] == ['']


def test_a_run_without_notes_has_none(tmp_path):
    assert notes.read(str(tmp_path / 'absent')) == []


def test_the_summary_leads_with_what_failed():
    lines = notes.summary([CONVERT, TRAIN, SCORE], 'failed').splitlines()
    assert lines[0] == '## Run panpipe-x7: failed'
    assert lines[2] == '**train failed:** panpipe train: error: loss is nan'
    rows = [line.replace('&emsp;', '') for line in lines if line.startswith('| ')]
    assert rows[1] == '| convert | 00:16:40 | 12.3 | /work/records-1 |'
    assert rows[2] == '| train | 00:33:20 | 7.0 | failed |'
    assert rows[3] == '| score | 00:50:00 | 5.0 | pq 60.1 |'


def test_the_summary_without_notes_says_what_kubeflow_says():
    text = notes.summary([], 'failed', 'pod was deleted')
    assert 'pod was deleted' in text
    assert '`work`' in text
