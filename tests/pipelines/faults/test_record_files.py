# SPDX-License-Identifier: Apache-2.0
"""Files of records are checked against their manifest and by what they hold; each fault is told."""

import json
import shutil

import pytest

import synthetic
from panpipe.model.inputs import records
from panpipe.model.storage import files, manifest, tfrecords
from panpipe.pipelines import convert, validate
from panpipe.pipelines.faults import record_files


@pytest.fixture(name='made', scope='module')
def fixture_made(tmp_path_factory):
    root = tmp_path_factory.mktemp('made')
    raw = synthetic.toy(root, images=3)
    where = ['--input', str(raw), '--output', str(root / 'records'), '--num_shards=1']
    assert convert.main(['--dataset', 'cityscapes_panoptic', *where]) == 0
    return root / 'records'


@pytest.fixture(name='folder')
def fixture_folder(made, tmp_path):
    shutil.copytree(made, tmp_path / 'records')
    return tmp_path / 'records'


def _told(folder, capsys):
    assert validate.main(['--records', str(folder)]) == 2
    return capsys.readouterr().err


def _train(folder):
    return folder / 'train-00000-of-00001.tfrecord'


def test_sound_records(folder, capsys):
    assert validate.main(['--records', str(folder)]) == 0
    assert '2 files are sound: 4 images, 4 of them with a label' in capsys.readouterr().out


def test_each_file_is_read_once(folder, monkeypatch):
    opened, seen = files.opened, []
    monkeypatch.setattr(files, 'opened', lambda path: seen.append(path) or opened(path))
    looked = record_files.look(str(_train(folder)))
    assert (len(looked.names), looked.faults) == (3, ())
    assert seen == [str(_train(folder))]


def test_a_flipped_bit_is_told(folder, capsys):
    content = bytearray(_train(folder).read_bytes())
    content[len(content) // 2] ^= 1
    _train(folder).write_bytes(content)
    assert 'the checksum of the record at byte' in _told(folder, capsys)


def test_another_content_than_the_manifest_states_is_told(folder, capsys):
    content = list(tfrecords.read(str(_train(folder))))
    _train(folder).write_bytes(b''.join(map(tfrecords.frame, reversed(content))))
    assert 'has the checksum' in _told(folder, capsys)


def test_a_wrong_count_is_told(folder, capsys):
    told = json.loads((folder / manifest.NAME).read_text())
    told['splits']['train']['shards'][0]['records'] += 1
    (folder / manifest.NAME).write_text(json.dumps(told))
    assert 'holds 3 records, the manifest says 4' in _told(folder, capsys)


def _write(folder, *content):
    (folder / manifest.NAME).unlink()
    _train(folder).write_bytes(b''.join(map(tfrecords.frame, content)))
    return folder


def test_an_image_of_another_size_a_damaged_one_and_twins_are_told(folder, capsys):
    first, second, third = (records.parse(one) for one in tfrecords.read(str(_train(folder))))
    cut = records.Record(**{**vars(second), 'encoded': second.encoded[:100]})
    wide = records.Record(**{**vars(third), 'width': third.width + 1, 'panoptic': None})
    told = _told(_write(folder, *map(records.serialize, (first, cut, wide, first))), capsys)
    assert f'{first.image_id}: is in 2 records' in told
    assert f'image {second.image_id}' in told
    assert f'stored as {third.height} x {third.width + 1}' in told


@pytest.mark.parametrize('wrong', [[], ['--format=coco'], ['--predictions=x']])
def test_what_is_checked_must_be_told(wrong, capsys):
    with pytest.raises(SystemExit) as caught:
        validate.main(wrong)
    assert caught.value.code == 2
    assert 'or --records' in capsys.readouterr().err
    assert validate.main(['--records=x', '--format=coco']) == 2
