# SPDX-License-Identifier: Apache-2.0
"""The storage room does the same on this machine, in memory, and on the stand-in for gs://."""

import itertools
import pathlib

import fsspec
import pytest

import buckets
from panpipe.model import errors
from panpipe.model.storage import addresses, copies, files, reach


@pytest.fixture(name='gs')
def fixture_gs(monkeypatch):
    with buckets.serving('bucket') as (store, host):
        monkeypatch.setenv('STORAGE_EMULATOR_HOST', host)
        monkeypatch.setenv('GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT', 'false')
        fsspec.filesystem('gs', skip_instance_cache=True).clear_instance_cache()
        yield store
        fsspec.filesystem('gs', skip_instance_cache=True).clear_instance_cache()


@pytest.fixture(name='root', params=['local', 'memory', 'gs'])
def fixture_root(request, tmp_path):
    if request.param == 'gs':
        request.getfixturevalue('gs')
        return 'gs://bucket/data'
    if request.param == 'memory':
        memory = fsspec.filesystem('memory')
        memory.store.clear()
        memory.pseudo_dirs[:] = ['']
        return 'memory://bucket/data'
    return str(tmp_path / 'data')


def test_what_is_written_is_found_read_moved_and_deleted(root):
    a, b = (addresses.join(root, 'inner', name) for name in ('a.txt', 'b.bin'))
    files.write_whole(a, b'one')
    with files.created(b) as file:
        file.write(b'two' * 10)
    assert files.exists(a)
    assert files.is_file(a)
    assert files.is_folder(root)
    assert not files.is_file(root)
    assert files.names(addresses.join(root, 'inner')) == ['a.txt', 'b.bin']
    assert files.find(root, 'inner/*.txt') == [a]
    assert [told.path for told in files.match(addresses.join(root, '*', '?.bin'))] == [b]
    assert [(told.path, told.size) for told in files.tree(root)] == [(a, 3), (b, 30)]
    assert files.facts(b).size == 30
    moved = addresses.join(root, 'moved.bin')
    files.move(b, moved)
    assert files.read(moved) == b'two' * 10
    assert not files.exists(b)
    files.delete([a, moved, addresses.join(root, 'never')])
    assert files.tree(root) == []


def test_what_fails_while_it_is_written_does_not_appear(root):
    path = addresses.join(root, 'whole')
    files.write_whole(path, b'before')

    def fail():
        with files.created(path) as file:
            file.write(b'half')
            raise ConnectionError

    with pytest.raises(ConnectionError):
        fail()
    assert files.read(path) == b'before'
    assert files.names(root) == ['whole']


def test_a_file_that_is_written_anew_has_other_facts(root):
    path = addresses.join(root, 'one')
    files.write_whole(path, b'same')
    before = files.facts(path)
    files.write_whole(path, b'same')
    assert before.size == 4
    assert before != files.facts(path) or root.startswith('memory')


def test_a_missing_file_is_a_mistake_in_one_line(root):
    with pytest.raises(errors.InputError, match=r'cannot read .*/none: it is missing'):
        files.read(addresses.join(root, 'none'))


def test_trees_are_copied_here_and_back(root, tmp_path):
    tree = {'a': b'1', 'inner/b': b'22', 'inner/done': b''}
    for name, content in tree.items():
        files.write_whole(addresses.join(root, name), content)
    with copies.holding() as held:
        here = pathlib.Path(held.tree('--input', root))
        assert {
            str(path.relative_to(here)): path.read_bytes() for path in here.rglob('*') if path.is_file()
        } == tree
        made = held.output('--output', f'{root}-made')
        files.copy_tree(here, made)
        held.publish(made)
    assert [told.path for told in files.tree(f'{root}-made')] == [
        addresses.join(f'{root}-made', name) for name in tree
    ]


def test_messages_name_addresses_not_copies():
    def fill():
        with copies.holding() as held:
            path = held.output('--output', 'memory://bucket/made')
            raise errors.InputError(f'{path} is full')

    with pytest.raises(errors.InputError, match='memory://bucket/made is full'):
        fill()


def test_errors_of_the_server_and_resets_are_tried_again(gs):
    for failure in (503, -1):
        chance = itertools.count()
        gs.fail = lambda method, path, chance=chance, failure=failure: failure if next(chance) % 3 == 0 else 0
        files.write_whole('gs://bucket/often', b'x' * 100)
        assert files.read('gs://bucket/often') == b'x' * 100


def test_a_large_file_is_one_upload_and_no_copy(gs, tmp_path):
    content = bytes(range(256)) * 2**15
    with files.created('gs://bucket/shard') as file:
        file.write(content)
    assert gs.objects['bucket', 'shard'][0] == content
    assert gs.counts['upload'] == 1
    assert not {'rewriteTo', 'copyTo'} & gs.counts.keys()


@pytest.mark.parametrize(
    ('address', 'message'),
    [
        ('gs://absent/x', 'there is no bucket absent'),
        ('gs:/bucket/x', 'an address of gs://, s3://'),
        ('hdfs://node/x', 'an address of gs://, s3://'),
        ('gs://', 'names no bucket'),
    ],
)
def test_wrong_addresses_are_refused_in_one_line(gs, address, message):
    with pytest.raises(errors.InputError, match=message):
        reach.check('--output', address)
    reach.check('--output', 'gs://bucket/x')
    reach.check('--output', 'folder/x')


def test_storage_that_does_not_answer_is_given_up(monkeypatch):
    monkeypatch.setattr(reach, 'SECONDS', 0.2)
    monkeypatch.setenv('STORAGE_EMULATOR_HOST', 'http://127.0.0.1:9')
    fsspec.filesystem('gs', skip_instance_cache=True).clear_instance_cache()
    with pytest.raises(errors.InputError, match=r'^--input gs://bucket/x: gs:// gave no answer within'):
        reach.check('--input', 'gs://bucket/x')
    fsspec.filesystem('gs', skip_instance_cache=True).clear_instance_cache()
