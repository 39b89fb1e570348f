# SPDX-License-Identifier: Apache-2.0
"""Records one by one, wherever they are, in the order of the files."""

import gzip

import numpy as np
import pytest
from apache_beam.io import filesystems, tfrecordio

import beams
from panpipe.model import errors
from panpipe.model.inputs import records
from panpipe.model.storage import manifest
from panpipe.pipelines.record_files import lookup
from panpipe.pipelines.running import failures


@pytest.fixture
def folder(tmp_path):
    """Two files of two records each, and what else lies about."""
    for number in range(2):
        with filesystems.FileSystems.create(str(tmp_path / f'train-{number}.tfrecord')) as file:
            for name in 'ab':
                record = records.Record(f'{name}{number}', b'x', 'png', 2, 3, np.zeros((2, 3), np.int32))
                tfrecordio._TFRecordUtil.write_record(file, records.serialize(record))
    manifest.write(tmp_path, manifest.Manifest('coco_panoptic', '1', {}))
    (tmp_path / 'train-folder').mkdir()
    return tmp_path


def _ids(paths):
    return [records.image_id(record) for record in lookup.read(paths)]


def test_files_are_found_by_pattern_and_by_folder(folder):
    both = [str(folder / f'train-{number}.tfrecord') for number in range(2)]
    for patterns in (
        [str(folder)],
        [f'{folder}/'],
        [f'{folder}/train-*'],
        [both[1], both[0]],
        [str(folder), both[0]],
    ):
        assert lookup.find_files(patterns) == both
    assert lookup.match(f'{folder}/train-1*') == both[1:]
    assert lookup.match(f'{folder}/none*') == []
    with pytest.raises(errors.InputError, match='matches no file; give records that'):
        lookup.find_files([both[0], f'{folder}/train-folder'])


def test_records_come_in_the_order_of_the_files(folder):
    paths = lookup.find_files([str(folder)])
    assert _ids(paths) == ['a0', 'b0', 'a1', 'b1']
    assert _ids(paths[::-1]) == ['a1', 'b1', 'a0', 'b0']


def test_one_record_is_found_by_name(folder):
    paths = lookup.find_files([str(folder)])
    assert [records.image_id(record) for record in lookup.find(paths, 'a1')] == ['a1']
    assert list(lookup.find(paths, None)) == list(lookup.read(paths))
    assert list(lookup.find(paths, 'a')) == []
    (folder / 'none.tfrecord').touch()
    assert list(lookup.find([str(folder / 'none.tfrecord')], None)) == []


def test_the_data_set_is_that_of_the_manifest_beside_the_file(folder, monkeypatch):
    assert lookup.dataset([str(folder / 'train-0.tfrecord')]).name == 'coco_panoptic'
    monkeypatch.chdir(folder)
    assert lookup.dataset(['train-0.tfrecord']).name == 'coco_panoptic'
    assert lookup.dataset([str(folder / 'train-folder' / 'train-0.tfrecord')]) is None
    for content in ('{', '[]', '{}'):
        (folder / 'manifest.json').write_text(content)
        with pytest.raises(errors.InputError, match=r'is damaged .* name the data set: --dataset'):
            lookup.dataset(['train-0.tfrecord'])


@pytest.mark.parametrize('spoil', [lambda b: b[:-5], lambda b: b[:9], lambda b: b'{}' * 40, gzip.compress])
def test_damage_is_told(folder, spoil):
    path = folder / 'train-0.tfrecord'
    path.write_bytes(spoil(path.read_bytes()))
    with pytest.raises(errors.InputError, match=r'train-0\.tfrecord is no intact record file'):
        list(lookup.read([str(path)]))


def test_a_pipeline_reads_the_records_of_sound_files(folder):
    paths = [str(folder / name) for name in ('train-0.tfrecord', 'none.tfrecord')]
    read = beams.outputs(lookup.ReadRecords(paths, failures.Policy(skips=True)))
    assert [records.image_id(one) for one in read.results] == ['a0', 'b0']
    assert [letter.image for letter in read.letters] == paths[1:]
