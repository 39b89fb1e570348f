# SPDX-License-Identifier: Apache-2.0
"""A folder is kept the same elsewhere: what is new, changed or gone, and no checkpoint is named too early."""

import pathlib
import threading

import fsspec
import pytest

from panpipe.model.storage import files, mirror

ROOT = 'memory://bucket/run'


@pytest.fixture(autouse=True)
def empty_memory():
    """Clears what the tests before left in memory."""
    memory = fsspec.filesystem('memory')
    memory.store.clear()
    memory.pseudo_dirs[:] = ['']


def _there():
    return {told.path.removeprefix(f'{ROOT}/'): files.read(told.path) for told in files.tree(ROOT)}


def _put(folder, **content):
    for name, text in content.items():
        path = folder / name.replace('__', '/')
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def test_a_mirror_begins_with_what_is_there(tmp_path):
    files.write_whole(f'{ROOT}/train/a', b'1')
    files.write_whole(f'{ROOT}/checkpoint', b'2')
    files.write_whole('memory://bucket/runs/other', b'3')
    mirror.Mirror(str(tmp_path), ROOT)
    local = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob('*') if path.is_file()}
    assert local == {'train/a', 'checkpoint'}
    assert (tmp_path / 'train/a').read_text() == '1'


def test_what_is_new_changed_and_gone_is_pushed(tmp_path):
    pushed = mirror.Mirror(str(tmp_path), ROOT)
    _put(tmp_path, a='1', inner__b='2')
    pushed.push()
    assert _there() == {'a': b'1', 'inner/b': b'2'}
    _put(tmp_path, a='111', c='3')
    (tmp_path / 'inner/b').unlink()
    pushed.push()
    assert _there() == {'a': b'111', 'c': b'3'}


def test_what_stays_is_not_copied_again(tmp_path, monkeypatch):
    files.write_whole(f'{ROOT}/old', b'1')
    pushed = mirror.Mirror(str(tmp_path), ROOT)
    _put(tmp_path, new='2')
    copied = []
    upload = files.upload

    def noted(source, target):
        copied.append(pathlib.Path(source).name)
        upload(source, target)

    monkeypatch.setattr(files, 'upload', noted)
    pushed.push()
    pushed.push()
    assert copied == ['new']


def test_what_others_wrote_there_stays(tmp_path):
    pushed = mirror.Mirror(str(tmp_path), ROOT)
    files.write_whole(f'{ROOT}/theirs', b'1')
    _put(tmp_path, ours='2')
    pushed.push()
    assert set(_there()) == {'ours', 'theirs'}


@pytest.mark.parametrize('name', ['a.partial', 'ckpt-1.data.tempstate123', 'in__b.7.partial'])
def test_files_in_the_making_are_not_pushed(name, tmp_path):
    pushed = mirror.Mirror(str(tmp_path), ROOT)
    _put(tmp_path, **{name: 'x', 'whole': 'y'})
    pushed.push()
    assert set(_there()) == {'whole'}


def test_the_note_of_the_newest_checkpoint_comes_last(tmp_path, monkeypatch):
    pushed = mirror.Mirror(str(tmp_path), ROOT)
    _put(tmp_path, checkpoint='ckpt-1', zz_ckpt_1='data')
    upload = files.upload

    def checked(source, target):
        assert 'checkpoint' not in _there()
        upload(source, target)

    monkeypatch.setattr(files, 'upload', checked)
    pushed.push()
    assert _there() == {'checkpoint': b'ckpt-1', 'zz_ckpt_1': b'data'}


def test_the_note_is_what_it_was_before_its_files_were_copied(tmp_path, monkeypatch):
    pushed = mirror.Mirror(str(tmp_path), ROOT)
    _put(tmp_path, checkpoint='ckpt-1', ckpt_1='data')
    upload = files.upload

    def overtaken(source, target):
        _put(tmp_path, checkpoint='ckpt-22', ckpt_2='more')
        upload(source, target)

    monkeypatch.setattr(files, 'upload', overtaken)
    pushed.push()
    assert _there() == {'checkpoint': b'ckpt-1', 'ckpt_1': b'data'}
    monkeypatch.setattr(files, 'upload', upload)
    pushed.push()
    assert _there() == {'checkpoint': b'ckpt-22', 'ckpt_1': b'data', 'ckpt_2': b'more'}


def test_a_file_that_is_renamed_meanwhile_is_pushed_the_next_time(tmp_path, monkeypatch):
    pushed = mirror.Mirror(str(tmp_path), ROOT)
    _put(tmp_path, a='1', b='2')
    upload = files.upload

    def vanished(source, target):
        if source.endswith('/a') and pathlib.Path(source).exists():
            pathlib.Path(source).rename(tmp_path / 'c')
            raise FileNotFoundError(source)
        upload(source, target)

    monkeypatch.setattr(files, 'upload', vanished)
    pushed.push()
    assert _there() == {'b': b'2'}
    pushed.push()
    assert _there() == {'b': b'2', 'c': b'1'}


def test_where_tensorflow_works_nothing_is_copied(tmp_path):
    with mirror.served(str(tmp_path), 'run') as folder:
        assert folder == str(tmp_path)


def test_a_folder_elsewhere_is_served_and_pushed_at_the_end():
    files.write_whole(f'{ROOT}/a', b'1')
    with mirror.served('memory://bucket', 'run') as folder:
        place = pathlib.Path(folder) / 'run'
        assert (place / 'a').read_text() == '1'
        _put(place, b='2')
        assert set(_there()) == {'a'}
    assert _there() == {'a': b'1', 'b': b'2'}
    assert not place.exists()


def test_what_was_written_before_a_failure_is_pushed():
    def fail(folder):
        _put(pathlib.Path(folder) / 'run', a='1')
        raise RuntimeError('stopped')

    with pytest.raises(RuntimeError, match='stopped'), mirror.served('memory://bucket', 'run') as folder:
        fail(folder)
    assert _there() == {'a': b'1'}


def test_a_push_now_and_then_may_fail(monkeypatch):
    monkeypatch.setattr(mirror, '_SECONDS', 0.001)
    tried, enough = [], threading.Event()

    def push(self):
        tried.append(self)
        if len(tried) < 4:
            raise OSError('no network')
        enough.set()

    monkeypatch.setattr(mirror.Mirror, 'push', push)
    with mirror.served('memory://bucket', 'run'):
        assert enough.wait(20)
    assert len(tried) > 4
