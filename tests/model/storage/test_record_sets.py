# SPDX-License-Identifier: Apache-2.0
"""Readers take complete sets of records, those that the manifest names, or say what is wrong."""

import pytest

from panpipe.model import errors
from panpipe.model.storage import addresses, manifest, record_sets, tfrecords


def _set(folder, split, count, *, records=2, without=()):
    """Writes the shards of a split, and describes them."""
    content = tfrecords.frame(b'x') * records
    shards = []
    for index in range(count):
        name = f'{split}-{index:05d}-of-{count:05d}.tfrecord'
        if index not in without:
            (folder / name).write_bytes(content)
        shards.append(manifest.Shard(name, records, len(content), '00000000'))
    return manifest.Split(count * records, 'zlib', True, tuple(shards))


def _names(found):
    return [addresses.name(told.path) for told in found]


def test_a_folder_a_file_and_a_pattern_name_records(tmp_path):
    _set(tmp_path, 'train', 2)
    _set(tmp_path, 'val', 1)
    (tmp_path / 'notes.txt').write_text('')
    everything = [
        'train-00000-of-00002.tfrecord',
        'train-00001-of-00002.tfrecord',
        'val-00000-of-00001.tfrecord',
    ]
    assert _names(record_sets.find('--input', str(tmp_path))) == everything
    assert _names(record_sets.find('--input', f'{tmp_path}/train*, {tmp_path}/val*')) == everything
    assert _names(record_sets.find('--input', f'{tmp_path}/{everything[1]}')) == everything[1:2]
    assert _names(record_sets.find('--input', [f'{tmp_path}/t*', f'{tmp_path}/tr*'])) == everything[:2]
    assert record_sets.count(record_sets.find('--input', str(tmp_path))) == 6


def test_of_two_sets_the_manifest_chooses_and_without_one_both_are_named(tmp_path):
    new = _set(tmp_path, 'train', 2)
    _set(tmp_path, 'train', 3)
    with pytest.raises(errors.InputError, match=r'holds two sets, train-.*-of-00002.*, and .*|two sets'):
        record_sets.find('--input', f'{tmp_path}/train*')
    manifest.write(tmp_path, manifest.Manifest('d', '1', {'train': new}))
    found = record_sets.find('--input', f'{tmp_path}/train*')
    assert _names(found) == [shard.name for shard in new.shards]
    assert record_sets.count(found) == 4
    with pytest.raises(errors.InputError, match='does not name'):
        record_sets.find('--input', f'{tmp_path}/train*-of-00003*')


def test_a_set_that_lacks_files_is_refused(tmp_path):
    _set(tmp_path, 'val', 3, without=[1])
    with pytest.raises(errors.InputError, match=r'lacks val-00001-of-00003.tfrecord \(1 of 3'):
        record_sets.find('--input', f'{tmp_path}/val*')
    told = _set(tmp_path, 'val', 3, without=[1])
    manifest.write(tmp_path, manifest.Manifest('d', '1', {'val': told}))
    with pytest.raises(errors.InputError, match=r'lacks val-00001-of-00003.tfrecord \(1 of 3'):
        record_sets.find('--input', f'{tmp_path}/val*')


def test_a_file_of_another_size_than_the_manifest_says_is_refused(tmp_path):
    manifest.write(tmp_path, manifest.Manifest('d', '1', {'val': _set(tmp_path, 'val', 2)}))
    (tmp_path / 'val-00001-of-00002.tfrecord').write_bytes(tfrecords.frame(b'other'))
    with pytest.raises(errors.InputError, match=r'val-00001-of-00002.tfrecord has 21 bytes, manifest.json'):
        record_sets.find('--input', f'{tmp_path}/val*')


def test_files_with_other_names_are_taken_as_they_are(tmp_path):
    for name in ('some.tfrecord', 'train-00000-of-00002.tfrecord.bak'):
        (tmp_path / name).write_bytes(tfrecords.frame(b'x'))
    assert len(record_sets.find('--input', f'{tmp_path}/*')) == 2


@pytest.mark.parametrize('pattern', ['none*', 'absent.tfrecord', ''])
def test_a_pattern_that_matches_nothing_is_refused(tmp_path, pattern):
    pattern = pattern and f'{tmp_path}/{pattern}'
    with pytest.raises(errors.InputError, match='--input'):
        record_sets.find('--input', pattern)


def test_manifests_survive_a_round_trip_and_compare_by_content(tmp_path):
    told = manifest.Manifest('d', '1', {'val': _set(tmp_path, 'val', 2)})
    manifest.write(tmp_path, told)
    assert manifest.read(tmp_path) == told
    assert manifest.read(f'{tmp_path}/.').digest() == told.digest()
    assert manifest.read(tmp_path / 'elsewhere') is None


@pytest.mark.parametrize('content', ['', '[]', '{"dataset": "d"}', '{"schema": 1}', '{"schema": 9}'])
def test_a_damaged_or_other_manifest_is_a_mistake_in_one_line(tmp_path, content):
    (tmp_path / 'manifest.json').write_text(content)
    with pytest.raises(errors.InputError, match='is damaged or of another version'):
        manifest.read(tmp_path)
