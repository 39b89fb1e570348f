# SPDX-License-Identifier: Apache-2.0
"""Copies for what reads local files alone: made once, made anew when the original changes."""

import os
import pathlib

import fsspec
import pytest

from panpipe.model.storage import cache, files

ROOT = 'memory://bucket/data'


@pytest.fixture(autouse=True)
def fresh(tmp_path, monkeypatch):
    """Gives each test a cache and a memory of its own."""
    monkeypatch.setenv(cache.VARIABLE, str(tmp_path / 'cache'))
    monkeypatch.delenv('STORAGE_EMULATOR_HOST', raising=False)
    memory = fsspec.filesystem('memory')
    memory.store.clear()
    memory.pseudo_dirs[:] = ['']


@pytest.fixture(name='downloads')
def fixture_downloads(monkeypatch):
    """Lists the addresses that are downloaded."""
    found = []
    download = files.download

    def noted(source, target):
        found.append(source)
        download(source, target)

    monkeypatch.setattr(files, 'download', noted)
    return found


@pytest.mark.parametrize(
    ('address', 'emulator', 'is_tensorflow'),
    [
        ('/data/a', '', True),
        ('data/a', 'host', True),
        ('gs://bucket/a', '', True),
        ('gs://bucket/a', 'http://host:1', False),
        ('s3://bucket/a', '', False),
        ('memory://bucket/a', '', False),
        (pathlib.Path('/data'), '', True),
    ],
)
def test_where_tensorflow_reads(address, emulator, is_tensorflow, monkeypatch):
    monkeypatch.setenv('STORAGE_EMULATOR_HOST', emulator)
    assert cache.is_tensorflow(address) == is_tensorflow


def test_local_records_are_not_copied(tmp_path, downloads):
    paths = [str(tmp_path / 'a.tfrecord'), str(tmp_path / 'b.tfrecord')]
    assert cache.records(paths) == paths
    assert downloads == []


def test_records_come_in_their_order_and_are_copied_once(tmp_path, downloads):
    paths = [f'{ROOT}/{name}' for name in ('b', 'a')]
    for path in paths:
        files.write_whole(path, path.encode())
    found = cache.records([paths[0], str(tmp_path / 'here'), paths[1]])
    assert found[1] == str(tmp_path / 'here')
    assert [pathlib.Path(path).read_bytes().decode() for path in (found[0], found[2])] == paths
    assert [os.path.basename(path) for path in found] == ['b', 'here', 'a']
    assert cache.records(paths[:1]) == found[:1]
    assert downloads == paths


def test_what_changes_is_copied_anew(downloads):
    path = f'{ROOT}/a'
    files.write_whole(path, b'1')
    (before,) = cache.records([path])
    files.write_whole(path, b'22')
    (after,) = cache.records([path])
    assert [pathlib.Path(one).read_bytes() for one in (before, after)] == [b'1', b'22']
    assert downloads == [path, path]


def test_records_of_one_name_in_two_folders_do_not_mix():
    paths = [f'{ROOT}/{folder}/a' for folder in ('one', 'two')]
    for path in paths:
        files.write_whole(path, path[-5:].encode())
    assert [pathlib.Path(path).read_bytes() for path in cache.records(paths)] == [b'one/a', b'two/a']


def test_a_tree_is_copied_as_it_is(downloads):
    for name in ('saved_model.pb', 'variables/variables.index'):
        files.write_whole(f'{ROOT}/model/{name}', name.encode())
    files.write_whole(f'{ROOT}/model2/other', b'')
    folder = pathlib.Path(cache.tree('saved_model', f'{ROOT}/model/'))
    found = {str(path.relative_to(folder)): path.read_text() for path in folder.rglob('*') if path.is_file()}
    assert found == {name: name for name in ('saved_model.pb', 'variables/variables.index')}
    assert cache.tree('saved_model', f'{ROOT}/model') == str(folder)
    assert len(downloads) == 2


def test_a_copy_that_was_cut_short_is_completed(downloads):
    for name in ('a', 'b'):
        files.write_whole(f'{ROOT}/model/{name}', name.encode())
    folder = pathlib.Path(cache.tree('saved_model', f'{ROOT}/model'))
    (folder / 'b').unlink()
    assert cache.tree('saved_model', f'{ROOT}/model') == str(folder)
    assert (folder / 'b').read_text() == 'b'
    assert [path[-1] for path in downloads] == ['a', 'b', 'b']


def test_what_is_not_there_is_returned_as_it_is(tmp_path):
    assert cache.tree('saved_model', f'{ROOT}/none') == f'{ROOT}/none'
    assert cache.checkpoint(f'{ROOT}/none/ckpt-1') == f'{ROOT}/none/ckpt-1'
    assert cache.tree('saved_model', tmp_path / 'none') == str(tmp_path / 'none')
    assert cache.checkpoint(tmp_path / 'ckpt-1') == str(tmp_path / 'ckpt-1')


def test_a_checkpoint_is_found_by_its_prefix():
    for name in ('ckpt-1.index', 'ckpt-1.data-00000-of-00001', 'ckpt-10.index', 'checkpoint'):
        files.write_whole(f'{ROOT}/{name}', name.encode())
    prefix = pathlib.Path(cache.checkpoint(f'{ROOT}/ckpt-1'))
    assert prefix.name == 'ckpt-1'
    assert sorted(os.listdir(prefix.parent)) == ['ckpt-1.data-00000-of-00001', 'ckpt-1.index']


def test_a_folder_of_checkpoints_is_copied_whole():
    for name in ('ckpt-1.index', 'checkpoint'):
        files.write_whole(f'{ROOT}/run/{name}', name.encode())
    assert sorted(os.listdir(cache.checkpoint(f'{ROOT}/run'))) == ['checkpoint', 'ckpt-1.index']


def test_without_a_variable_the_cache_is_the_users_own(monkeypatch, tmp_path):
    monkeypatch.delenv(cache.VARIABLE)
    monkeypatch.setattr('tempfile.gettempdir', lambda: str(tmp_path))
    files.write_whole(f'{ROOT}/a', b'1')
    (found,) = cache.records([f'{ROOT}/a'])
    assert pathlib.Path(found).parent.parent == tmp_path / f'panpipe-cache-{os.getuid()}'
