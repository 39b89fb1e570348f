# SPDX-License-Identifier: Apache-2.0
"""Files below a folder are found through links, in one order, without hidden ones, and without end."""

import os

import fsspec
import hypothesis
import pytest
from hypothesis import strategies as st

from panpipe.model import errors
from panpipe.model.storage import files
from panpipe.pipelines.sources import trees


def _touch(root, *paths):
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(path)


def test_all_files_are_listed_in_order(tmp_path):
    _touch(tmp_path, 'b.png', 'a/c.png', 'a/a/d.txt', 'é/ü.jpg')
    assert trees.read(str(tmp_path)) == (str(tmp_path), ('a/a/d.txt', 'a/c.png', 'b.png', 'é/ü.jpg'), ())


def test_hidden_files_and_folders_are_not_listed(tmp_path):
    _touch(tmp_path, '.DS_Store', 'a/._b.png', '.git/config', 'a/.x/b.png', 'a/b.png')
    assert trees.read(str(tmp_path)).files == ('a/b.png',)


def test_links_are_followed(tmp_path):
    _touch(tmp_path, 'elsewhere/1.png', 'elsewhere/in/2.png', 'root/3.png')
    (tmp_path / 'root/folder').symlink_to(tmp_path / 'elsewhere')
    (tmp_path / 'root/file.png').symlink_to(tmp_path / 'elsewhere/1.png')
    found = trees.read(str(tmp_path / 'root'))
    assert found.files == ('3.png', 'file.png', 'folder/1.png', 'folder/in/2.png')
    assert found.broken == ()


def test_a_root_may_be_a_link(tmp_path):
    _touch(tmp_path, 'there/a/1.png')
    (tmp_path / 'here').symlink_to('there')
    assert trees.read(str(tmp_path / 'here')).files == ('a/1.png',)


def test_links_that_lead_nowhere_are_broken(tmp_path):
    _touch(tmp_path, '1.png')
    (tmp_path / 'z.png').symlink_to('none.png')
    (tmp_path / 'a').mkdir()
    (tmp_path / 'a/loop').symlink_to('loop')
    assert trees.read(str(tmp_path)) == (str(tmp_path), ('1.png',), ('a/loop', 'z.png'))


@pytest.mark.parametrize('target', ['..', '../..', '.'])
def test_links_that_lead_up_are_not_followed(target, tmp_path):
    _touch(tmp_path, 'a/b/1.png')
    (tmp_path / 'a/b/up').symlink_to(target)
    assert trees.read(str(tmp_path)).files == ('a/b/1.png',)


def test_two_folders_that_link_to_each_other_end(tmp_path):
    _touch(tmp_path, 'a/1.png', 'b/2.png')
    (tmp_path / 'a/to_b').symlink_to('../b')
    (tmp_path / 'b/to_a').symlink_to('../a')
    found = trees.read(str(tmp_path)).files
    assert found == ('a/1.png', 'a/to_b/2.png', 'b/2.png', 'b/to_a/1.png')


def test_pipes_are_no_files(tmp_path):
    _touch(tmp_path, '1.png')
    os.mkfifo(tmp_path / 'pipe.png')
    assert trees.read(str(tmp_path)) == (str(tmp_path), ('1.png',), ())


def test_a_name_that_is_not_utf8_is_told(tmp_path):
    with open(os.fsencode(tmp_path) + b'/caf\xe9.png', 'w'):
        pass
    with pytest.raises(
        errors.InputError, match=r"holds a file whose name is not UTF-8, 'caf\\udce9.png'; re"
    ):
        trees.read(str(tmp_path))


def test_a_folder_that_must_not_be_read_is_told(tmp_path, monkeypatch):
    def refuse(path):
        raise PermissionError(13, 'Permission denied', path)

    monkeypatch.setattr(os, 'scandir', refuse)
    with pytest.raises(errors.InputError, match=f'^cannot list {tmp_path}: Permission denied$'):
        trees.read(str(tmp_path))


def test_a_folder_that_is_not_there_is_empty(tmp_path):
    assert trees.read(str(tmp_path / 'none')) == (str(tmp_path / 'none'), (), ())


PARTS = st.sampled_from(['a', 'b', '.c', 'd.png'])
PATHS = st.lists(st.lists(PARTS, min_size=1, max_size=3).map('/'.join), max_size=5, unique=True)


@hypothesis.settings(deadline=None, max_examples=30)
@hypothesis.given(paths=PATHS)
def test_a_remote_folder_is_listed_like_a_local_one(tmp_path_factory, paths):
    # No path may be the folder of another.
    paths = [path for path in paths if not any(other.startswith(f'{path}/') for other in paths)]
    root = tmp_path_factory.mktemp('tree')
    _touch(root, *paths)
    memory = fsspec.filesystem('memory')
    memory.store.clear()
    memory.pseudo_dirs[:] = ['']
    for path in paths:
        files.write_whole(f'memory://bucket/data/{path}', b'x')
    assert trees.read('memory://bucket/data').files == trees.read(str(root)).files
