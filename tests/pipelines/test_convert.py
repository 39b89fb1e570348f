# SPDX-License-Identifier: Apache-2.0
"""What was downloaded comes back from the records, or one line says why not and nothing is left behind."""

import hashlib
import itertools
import json
import shutil
import subprocess
import sys

import numpy as np
import pytest
from apache_beam.io import tfrecordio

import shared
import synthetic
from panpipe.model import datasets
from panpipe.model.inputs import records
from panpipe.pipelines import convert
from panpipe.pipelines.record_files import lookup, plans
from panpipe.pipelines.sources import entries

DATASETS = ('cityscapes_panoptic', 'coco_panoptic')


def _convert(root, output, dataset='cityscapes_panoptic', *options):
    arguments = ['--dataset', dataset, '--input', str(root), '--output', str(output), *options]
    return convert.main(arguments)


def _read(path):
    found = []
    with path.open('rb') as file:
        while (serialized := tfrecordio._TFRecordUtil.read_record(file)) is not None:
            found.append(records.parse(serialized))
    return found


def _digests(folder):
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.iterdir()
        if path.is_file()
    }


@pytest.fixture(scope='module')
def raw(tmp_path_factory):
    folder = tmp_path_factory.mktemp('raw')
    return {dataset: synthetic.toy(folder, dataset, images=7) for dataset in DATASETS}


@pytest.mark.parametrize('label_format', records.LABEL_FORMATS)
@pytest.mark.parametrize('dataset', DATASETS)
def test_toy_round_trip(raw, dataset, label_format, tmp_path, capsys):
    assert _convert(raw[dataset], tmp_path, dataset, '--num_shards=3', '--label_format', label_format) == 0
    assert dataset in capsys.readouterr().out
    spec = datasets.find(dataset)
    for split, sizes in (('train', [3, 3, 1]), ('val', [1, 1, 0])):
        paths = [tmp_path / f'{split}-{i:05d}-of-00003.tfrecord' for i in range(3)]
        found = [_read(path) for path in paths]
        assert [len(part) for part in found] == sizes
        listed = synthetic.raw_records(raw[dataset], spec, split)
        for record, (image_id, expected) in zip(itertools.chain(*found), listed.items(), strict=True):
            assert record.image_id == image_id
            assert record.encoded == expected.encoded
            np.testing.assert_array_equal(record.panoptic, expected.panoptic)


def test_tensorflow_reads_the_records_as_deeplab2_does(raw, tmp_path):
    import tensorflow as tf

    assert _convert(raw['cityscapes_panoptic'], tmp_path, 'cityscapes_panoptic', '--label_format=raw') == 0
    paths = sorted(str(path) for path in tmp_path.glob('train-*'))
    assert len(paths) == 7
    string, integer = tf.io.FixedLenFeature((), tf.string, ''), tf.io.FixedLenFeature((), tf.int64, 0)
    features = {
        'image/encoded': string,
        'image/filename': string,
        'image/format': string,
        'image/height': integer,
        'image/width': integer,
        'image/channels': integer,
        'image/segmentation/class/encoded': string,
        'image/segmentation/class/format': string,
    }
    expected = [record for path in paths for record in _read(tmp_path / path)]
    for serialized, record in zip(tf.data.TFRecordDataset(paths), expected, strict=True):
        parsed = tf.io.parse_single_example(serialized, features)
        label = tf.io.decode_raw(parsed['image/segmentation/class/encoded'], tf.int32)
        size = (parsed['image/height'], parsed['image/width'])
        np.testing.assert_array_equal(tf.reshape(label, size), record.panoptic)
        image = tf.io.decode_image(parsed['image/encoded'], channels=3)
        np.testing.assert_array_equal(image, records.decode_image(record.encoded, ''))


@pytest.mark.parametrize(
    ('sample', 'dataset'), [('coco', 'coco_panoptic'), ('cityscapes_like', 'cityscapes_panoptic')]
)
def test_real_samples(sample, dataset, tmp_path):
    root = shared.sample(sample)
    assert _convert(root, tmp_path, dataset, '--splits=val', '--num_shards=1') == 0
    spec = datasets.find(dataset)
    found = _read(tmp_path / 'val-00000-of-00001.tfrecord')
    for record, truth in zip(found, synthetic.truths(root, spec).values(), strict=True):
        np.testing.assert_array_equal(record.panoptic, truth)
        semantic, instance = spec.labels.decode(record.panoptic)
        crowd = spec.labels.thing_table()[semantic] & (instance == 0)
        assert crowd.any()
    crowdless = tmp_path / 'crowdless'
    assert (
        _convert(root, crowdless, dataset, '--splits=val', '--num_shards=1', '--treat_crowd_as_ignore') == 0
    )
    for record, other in zip(found, _read(crowdless / 'val-00000-of-00001.tfrecord'), strict=True):
        semantic, instance = spec.labels.decode(record.panoptic)
        crowd = spec.labels.thing_table()[semantic] & (instance == 0)
        np.testing.assert_array_equal(other.panoptic, np.where(crowd, spec.labels.void, record.panoptic))


def test_same_input_same_files_and_no_stale_ones(raw, tmp_path):
    root = raw['coco_panoptic']
    assert _convert(root, tmp_path / 'a', 'coco_panoptic') == 0
    first = _digests(tmp_path / 'a')
    assert len(first) == 7 + 2 + 1
    assert _convert(root, tmp_path / 'a', 'coco_panoptic', '--num_shards=2') == 0
    assert _convert(root, tmp_path / 'a', 'coco_panoptic') == 0
    assert _digests(tmp_path / 'a') == first


def test_the_manifest_tells_what_is_there(raw, tmp_path):
    root = raw['cityscapes_panoptic']
    (tmp_path / 'notes.txt').write_text('mine')
    (tmp_path / 'train-00000-of-00099.tfrecord').write_text('stale')
    assert _convert(root, tmp_path, 'cityscapes_panoptic', '--splits=val') == 0
    assert (tmp_path / 'train-00000-of-00099.tfrecord').exists()
    assert _convert(root, tmp_path, 'cityscapes_panoptic', '--splits=train', '--num_shards=2') == 0
    manifest = json.loads((tmp_path / 'manifest.json').read_text())
    assert manifest['dataset'] == 'cityscapes_panoptic'
    assert {split: facts['images'] for split, facts in manifest['splits'].items()} == {'val': 2, 'train': 7}
    told = [shard['name'] for facts in manifest['splits'].values() for shard in facts['shards']]
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([*told, 'manifest.json', 'notes.txt'])


def test_classes_alone(raw, tmp_path):
    assert (
        _convert(raw['cityscapes_panoptic'], tmp_path / 'whole', 'cityscapes_panoptic', '--num_shards=1') == 0
    )
    options = ['--num_shards=1', '--semantic_only']
    assert _convert(raw['cityscapes_panoptic'], tmp_path / 'classes', 'cityscapes_panoptic', *options) == 0
    name = 'val-00000-of-00001.tfrecord'
    for whole, classes in zip(
        _read(tmp_path / 'whole' / name), _read(tmp_path / 'classes' / name), strict=True
    ):
        assert (whole.panoptic % 1000).any()
        np.testing.assert_array_equal(classes.panoptic, whole.panoptic // 1000 * 1000)
    manifests = [json.loads((tmp_path / kind / 'manifest.json').read_text()) for kind in ('whole', 'classes')]
    assert [manifest['splits']['val']['has_instances'] for manifest in manifests] == [True, False]


def test_default_counts_of_shards():
    assert plans.shard_count(num_images=2975, num_bytes=7 * 2**30) == 56
    assert plans.shard_count(num_images=118287, num_bytes=18 * 2**30) == 144
    assert plans.shard_count(num_images=500, num_bytes=2**30) == 10
    assert plans.shard_count(num_images=3, num_bytes=1) == 3
    listed = [entries.ImageFile(str(i), f'{i}.png', 'png') for i in range(2975)]
    dealt = plans.deal('train', listed, 10)
    assert [len(shard.entries) for shard in dealt] == [298] * 9 + [293]
    assert dealt[9].name == 'train-00009-of-00010.tfrecord'
    coco = plans.deal('train', listed * 39 + listed[:2262], 1000)
    assert [len(shard.entries) for shard in coco] == [119] * 994 + [1] + [0] * 5


def _one_line(capsys):
    captured = capsys.readouterr()
    assert 'Traceback' not in captured.err
    lines = [line for line in captured.err.splitlines() if line.startswith('panpipe')]
    assert len(lines) == 1
    return lines[0]


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (['--dataset=cityscape'], "unknown data set 'cityscape'; it is one of"),
        (
            ['--splits=train,tests'],
            "--splits is 'train,tests'; it must name some of train, val, test, each once",
        ),
        (['--splits='], "--splits is ''"),
        (['--splits=val,val'], 'each once'),
        (['--num_shards=0'], '--num_shards is 0; it must be at least 1'),
        (['--input=no/such/folder'], 'no/such/folder is not a folder'),
        (['--shards=3'], '--shards: neither an option of this job nor of Apache Beam'),
        (['--dataset=coco_panoptic'], 'looks like Cityscapes, not like COCO'),
        (['--splits=test'], 'has no images of test'),
        (['--semantic_only', '--treat_crowd_as_ignore'], 'exclude each other'),
    ],
)
def test_mistakes_are_told_before_any_work(raw, options, message, tmp_path, capsys):
    output = tmp_path / 'records'
    assert _convert(raw['cityscapes_panoptic'], output, 'cityscapes_panoptic', *options) == 2
    assert message in _one_line(capsys)
    assert not output.exists()


def _cut(root):
    path = sorted((root / 'leftImg8bit/train').rglob('*.png'))[-1]
    path.write_bytes(path.read_bytes()[:1000])
    return path


@pytest.mark.parametrize('existing', [False, True])
def test_a_damaged_image_leaves_what_was_there_and_what_is_finished(existing, tmp_path, capsys):
    root = synthetic.toy(tmp_path, images=6)
    output = tmp_path / 'records'
    if existing:
        assert _convert(root, output) == 0
    before = _digests(output) if existing else {}
    path = _cut(root)
    whole = path.read_bytes()
    capsys.readouterr()
    assert _convert(root, output, 'cityscapes_panoptic', '--num_shards=3') == 2
    line = _one_line(capsys)
    assert f'{path} cannot be decoded' in line
    assert line.endswith('fetch it again')
    assert {name: digest for name, digest in _digests(output).items() if name in before} == before
    (staging,) = (inner for inner in output.iterdir() if inner.is_dir())
    assert len(list(staging.glob('*.done'))) > 0
    assert path.read_bytes() == whole


def test_output_that_is_a_file_is_told(raw, tmp_path, capsys):
    output = tmp_path / 'records'
    output.write_text('')
    assert _convert(raw['cityscapes_panoptic'], output) == 2
    assert f'--output {output} is a file; name a folder' in _one_line(capsys)


def test_a_custom_data_set_in_the_coco_layout(raw, tmp_path):
    spec = datasets.find('coco_panoptic')
    categories = [
        {
            'id': c.id - 1,
            'name': c.name,
            'color': c.color,
            'is_thing': c.is_thing,
            'official_id': c.official_id,
        }
        for c in spec.categories
    ]
    facts = {'layout': 'coco', 'num_classes': 133, 'label_divisor': 1000, 'ignore_label': 255}
    description = tmp_path / 'mine.json'
    description.write_text(json.dumps({**facts, 'categories': categories}))
    assert _convert(raw['coco_panoptic'], tmp_path / 'a', str(description), '--splits=val') == 0
    assert _convert(raw['coco_panoptic'], tmp_path / 'b', 'coco_panoptic', '--splits=val') == 0
    for name in ('val-00000-of-00002.tfrecord', 'val-00001-of-00002.tfrecord'):
        for mine, official in zip(_read(tmp_path / 'a' / name), _read(tmp_path / 'b' / name), strict=True):
            semantic, instance = spec.labels.decode(official.panoptic)
            renumbered = (semantic - 1) * 1000 + instance
            np.testing.assert_array_equal(mine.panoptic, np.where(semantic == 0, 255000, renumbered))


def test_needs_no_tensorflow():
    code = 'import sys; from panpipe.pipelines import convert, toy; sys.exit("tensorflow" in sys.modules)'
    assert subprocess.run([sys.executable, '-c', code], check=False).returncode == 0


@pytest.mark.slow
def test_two_worker_processes_write_the_same_files(raw, tmp_path, capfd):
    parallel = ('--runner=DirectRunner', '--direct_running_mode=multi_processing', '--direct_num_workers=2')
    root = raw['cityscapes_panoptic']
    assert _convert(root, tmp_path / 'one') == 0
    assert _convert(root, tmp_path / 'two', 'cityscapes_panoptic', *parallel) == 0
    assert _digests(tmp_path / 'one') == _digests(tmp_path / 'two')
    capfd.readouterr()
    root = synthetic.toy(tmp_path)
    path = _cut(root)
    assert _convert(root, tmp_path / 'three', 'cityscapes_panoptic', *parallel) == 2
    assert f'{path} cannot be decoded' in _one_line(capfd)
    assert not [*(tmp_path / 'three').glob('*.tfrecord')]  # finished shards wait for the next run


def test_folders_may_have_brackets(raw, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'raw[1]').mkdir()
    shutil.copytree(raw['cityscapes_panoptic'], 'raw[1]/toy')
    assert _convert('raw[1]/toy', 'records[1]', 'cityscapes_panoptic', '--num_shards=2') == 0
    assert _convert('raw[1]/toy', 'records[1]', 'cityscapes_panoptic', '--num_shards=1') == 0
    names = [f'{split}-00000-of-00001.tfrecord' for split in ('train', 'val')]
    assert sorted(path.name for path in (tmp_path / 'records[1]').iterdir()) == ['manifest.json', *names]
    assert _convert('raw[1]', 'other[1]') == 2
    assert not (tmp_path / 'other[1]').exists()
    assert lookup.find_files(['records[1]']) == [f'records[1]/{name}' for name in names]
