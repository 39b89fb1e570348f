# SPDX-License-Identifier: Apache-2.0
"""Records are read once in order, or shuffled without end: each once an epoch, the same for the same seed."""

import pytest

from panpipe.model import errors
from panpipe.model.inputs import reading
from panpipe.model.storage import files, manifest, tfrecords

CONTENT = [str(number).encode() for number in range(7)]


@pytest.fixture
def paths(tmp_path):
    """Writes seven records into three files, one of them empty."""
    parts = {'a.tfrecord': CONTENT[:3], 'b.tfrecord': [], 'c.tfrecord': CONTENT[3:]}
    for name, content in parts.items():
        files.write_whole(tmp_path / name, b''.join(map(tfrecords.frame, content)))
    return [str(tmp_path / name) for name in parts]


def _taken(paths, number, *, seed=1, start=0):
    """Takes records and the numbers in their keys."""
    read = reading.shuffled(paths, 10, seed, start).take(number).as_numpy_iterator()
    return [(record, tuple(key.tolist())) for record, key in read]


def test_files_are_found_and_counted(paths, tmp_path):
    assert reading.find_files([f'{tmp_path}/a*,{tmp_path}/c*', str(tmp_path / 'b.tfrecord')]) == paths
    assert reading.count(paths) == 7
    assert list(reading.ordered(paths).as_numpy_iterator()) == CONTENT


def test_the_first_record_is_found_behind_empty_files(paths):
    assert reading.first_record(paths[1:]) == (paths[2], b'3')
    with pytest.raises(errors.InputError, match='hold no record; convert again'):
        reading.first_record(paths[1:2])
    files.write_whole(paths[0], b'damage' * 9)
    with pytest.raises(errors.InputError, match=r'a\.tfrecord is no intact record file; give a pattern'):
        reading.first_record(paths)


def test_every_record_comes_once_an_epoch_in_another_order(paths):
    taken = [record for record, _ in _taken(paths, 21)]
    epochs = [tuple(taken[first : first + 7]) for first in (0, 7, 14)]
    assert [sorted(epoch) for epoch in epochs] == [CONTENT] * 3
    assert len(set(epochs)) > 1


def test_a_seed_decides_the_order_and_the_keys(paths):
    assert _taken(paths, 14) == _taken(paths, 14)
    assert [key for _, key in _taken(paths, 3)] == [(1, 0), (1, 1), (1, 2)]
    assert [record for record, _ in _taken(paths, 14)] != [record for record, _ in _taken(paths, 14, seed=2)]


@pytest.mark.parametrize('start', [1, 7, 10])
def test_a_later_start_goes_on_in_the_same_order(paths, start):
    assert _taken(paths, 4, start=start) == _taken(paths, start + 4)[start:]


def test_files_without_instances_are_named_by_their_manifest(paths, tmp_path):
    assert reading.without_instances(paths) is None
    shards = tuple(manifest.Shard(name, 1, 1, '0' * 8) for name in ('c.tfrecord',))
    told = manifest.Manifest('coco_panoptic', '1', {'train': manifest.Split(1, 'zlib', False, shards)})
    manifest.write(tmp_path, told)
    assert reading.without_instances(paths) == paths[2]
