# SPDX-License-Identifier: Apache-2.0
"""Where nothing can be written, one line says so before the work, and nothing is left behind."""

import pytest

from panpipe.components import workflow
from panpipe.pipelines import convert, evaluate, report, score, show, statistics

_DATASET = ('--dataset', 'coco_panoptic')
_PREDICTED = ('--predictions', 'none', '--ground_truth', 'none')
# Inputs are missing, too: they are looked at later.
FILES = {
    score: ('--format', 'coco', *_PREDICTED),
    evaluate: (*_DATASET, *_PREDICTED),
    report: (*_DATASET, *_PREDICTED),
    show: ('none', '--page', '1'),
    workflow: ('compile',),
}
FOLDERS = {
    statistics: (*_DATASET, '--input', 'none'),
    convert: (*_DATASET, '--input', 'none'),
    workflow: ('run', *_DATASET),
}


@pytest.mark.parametrize('output', ['folder', 'file/x'])
@pytest.mark.parametrize('job', FILES, ids=lambda job: job.__name__)
def test_of_jobs_that_write_a_file(job, output, tmp_path, monkeypatch, capsys):
    _refuses(job, FILES[job], output, tmp_path, monkeypatch, capsys)


@pytest.mark.parametrize('output', ['file', 'file/x'])
@pytest.mark.parametrize('job', FOLDERS, ids=lambda job: job.__name__)
def test_of_jobs_that_write_a_folder(job, output, tmp_path, monkeypatch, capsys):
    _refuses(job, FOLDERS[job], output, tmp_path, monkeypatch, capsys)


def _refuses(job, arguments, output, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'folder').mkdir()
    (tmp_path / 'file').touch()
    assert job.main([*arguments, '--output', output]) == 2
    error = capsys.readouterr().err
    assert f'error: --output {output}' in error
    assert error.count('\n') == 1
    assert sorted(path.name for path in tmp_path.rglob('*')) == ['file', 'folder']
