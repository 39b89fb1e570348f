# SPDX-License-Identifier: Apache-2.0
import json
import pathlib

import pytest
from kfp import dsl

from panpipe.components import attempt, notes, places
from panpipe.model import errors


def _note(work, step):
    return json.loads(pathlib.Path(work, 'runs', 'r1', f'{step}.json').read_text())


@pytest.fixture
def work(tmp_path, monkeypatch):
    monkeypatch.setenv(notes.VARIABLE, 'r1')
    return str(tmp_path / 'work')


def test_the_reason_of_a_failure_is_the_last_line(work, capsys):
    """A job says it in the midst of what others print; the log of a pod is read from its end."""
    with pytest.raises(SystemExit) as stop, attempt.Attempt('train', work) as step:
        step.call('doctor', '--config', 'absent.textproto')
    assert stop.value.code == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith('panpipe doctor: error: no configuration absent.textproto')
    assert last.endswith('(exit status 2)')
    assert _note(work, 'train')['error'].startswith('panpipe doctor: error: no configuration')


def test_functions_fail_as_jobs_do(work, capsys):
    def refuse():
        raise errors.JobError('too low')

    with pytest.raises(SystemExit) as stop, attempt.Attempt('accept', work) as step:
        step.perform('workflow', refuse)
    assert stop.value.code == 1
    assert capsys.readouterr().err.splitlines()[-1] == 'panpipe workflow: error: too low (exit status 1)'


def test_faults_of_the_program_pass_through_and_are_noted(work):
    with pytest.raises(ZeroDivisionError), attempt.Attempt('train', work) as step:
        step.perform('train', lambda: 1 / 0)
    assert _note(work, 'train')['error'] == 'ZeroDivisionError: division by zero'


def test_success_is_noted_with_figures_and_place(work, tmp_path):
    artifact = dsl.Dataset(name='raw', uri=str(tmp_path / 'artifact'))
    place = places.claim(artifact, work, 'raw', dataset='coco_panoptic')
    job = ('toy', '--dataset', 'coco_panoptic', '--output', place.folder, '--images=1')
    for _ in range(2):  # the second attempt finds the place finished; the job itself would refuse it
        with attempt.Attempt('toy', work) as step:
            step.fill(place, *job, '--height=64', '--width=128')
            step.figures = {'images': 1.0}
    note = _note(work, 'toy')
    assert (note['error'], note['figures'], note['place']) == ('', {'images': 1.0}, place.folder)
    assert pathlib.Path(place.folder, 'annotations').is_dir()


def test_without_work_no_note_is_left(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with attempt.Attempt('train', ''):
        pass
    assert not list(tmp_path.iterdir())
