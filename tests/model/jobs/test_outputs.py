# SPDX-License-Identifier: Apache-2.0
"""Outputs appear whole, and where they cannot, one line says so before the work."""

import os

import pytest

from panpipe.model import errors
from panpipe.model.jobs import outputs


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'folder').mkdir()
    (tmp_path / 'file').write_text('kept')
    (tmp_path / 'nowhere').symlink_to(tmp_path / 'gone')
    return tmp_path


@pytest.mark.parametrize(
    'path', ['a.json', 'new/deep/a.json', 'file', 'folder/a', 'memory://bucket/a', 'nowhere']
)
def test_files_that_can_be_written(place, path):
    before = sorted(os.listdir(place))
    outputs.check_file('--output', path)
    assert sorted(os.listdir(place)) == before


@pytest.mark.parametrize(
    ('path', 'message'),
    [
        ('folder', '--output folder is a folder; name a file'),
        ('folder/', 'is a folder'),
        ('', 'is a folder'),
        ('/dev/null', 'is no regular file'),
        ('file/a', 'file is no folder; choose another place'),
        ('file/a/b', 'file is no folder'),
        ('nowhere/a', 'nowhere is no folder'),
    ],
)
def test_files_that_cannot_be_written(place, path, message):
    with pytest.raises(errors.InputError, match=message):
        outputs.check_file('--output', path)


def test_a_folder_that_must_not_be_written(place, monkeypatch):
    monkeypatch.setattr(os, 'access', lambda *names: False)
    with pytest.raises(errors.InputError, match='must not be written'):
        outputs.check_file('--output', 'folder/new/a')


def test_folders(place):
    for path in ('folder', 'new/deep', '.', 'memory://bucket/a'):
        outputs.check_folder('--output', path)
    for path, message in {
        'file': 'is a file; name a folder',
        'file/a': '--output file/a: .*file is no folder',
        'nowhere': 'file',
    }.items():
        with pytest.raises(errors.InputError, match=message):
            outputs.check_folder('--output', path)
    assert outputs.nearest_folder('folder/a/b') == str(place / 'folder')
