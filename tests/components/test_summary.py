# SPDX-License-Identifier: Apache-2.0
"""The last task of a run, in a real run here: it tells how the others ended, whichever way they did."""

import json

import kfp.local
import pytest
from kfp import dsl

from panpipe.components import notes, steps


@dsl.pipeline(name='guarded')
def guarded(raw_data: str, work: str):
    with dsl.ExitHandler(steps.summary(work=work)):
        source = steps.source(raw_data=raw_data, images=1, height=64, width=64, work=work)
        steps.toy(dataset='coco_panoptic', raw_data=raw_data, images=1, height=64, width=64, work=work).after(
            source
        )


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Runs it on a folder; returns the summary's text and whether the run failed."""
    monkeypatch.setenv(notes.VARIABLE, 'r7')
    kfp.local.init(
        runner=kfp.local.SubprocessRunner(use_venv=False),
        pipeline_root=str(tmp_path / 'root'),
        raise_on_error=False,
    )

    def start(raw_data, work):
        guarded(raw_data=raw_data, work=work)
        (path,) = tmp_path.glob('root/*/summary/summary')
        return path.read_text()

    return start


def test_a_failed_run_names_the_step_and_its_line(tmp_path, run):
    text = run(str(tmp_path / 'absent'), str(tmp_path / 'work'))
    assert text.startswith('## Run r7: failed')
    assert '**source failed:** panpipe workflow: error: raw_data' in text
    assert 'is no folder' in text
    assert '| toy' not in text


def test_a_run_that_succeeds_has_a_line_a_step(tmp_path, run):
    (tmp_path / 'data').mkdir()
    (tmp_path / 'data/a.png').touch()
    text = run(str(tmp_path / 'data'), str(tmp_path / 'work'))
    assert text.startswith('## Run r7: succeeded')
    assert '| source&emsp; |' in text
    assert json.loads((tmp_path / 'work/runs/r7/source.json').read_text())['error'] == ''


def test_without_work_the_state_is_all_that_is_known(tmp_path, run):
    text = run(str(tmp_path / 'absent'), '')
    assert text.startswith('## Run r7: failed')
    assert '`work`' in text
