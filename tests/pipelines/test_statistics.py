# SPDX-License-Identifier: Apache-2.0
"""The statistics job against a plain numpy count of the same records."""

import collections
import dataclasses
import json
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

import beams
import small_statistics
import synthetic
from panpipe.model import datasets, errors
from panpipe.model.inputs import records
from panpipe.pipelines import statistics
from panpipe.pipelines.record_files import summary
from panpipe.pipelines.running import failures

SPEC = datasets.SPECS['cityscapes_panoptic']
SIZES = [(17, 23), (40, 33), (33, 65), (9, 70)] * 3


def _write(path, maps):
    with tf.io.TFRecordWriter(str(path)) as writer:
        for number, panoptic in enumerate(maps):
            height, width = panoptic.shape
            record = records.Record(f'i{number}', b'\x89PNG', 'png', height, width, panoptic)
            writer.write(records.serialize(record, label_format=('zlib', 'raw')[number % 2]))


def _run(folder, *more, dataset=SPEC.name):
    arguments = ['--dataset', dataset, '--input', f'{folder}/*.tfrecord', '--output', f'{folder}/out']
    return statistics.main([*arguments, *more])


@pytest.fixture(scope='module')
def maps():
    rng = np.random.default_rng(3)
    return [synthetic.panoptic_map(rng, SPEC.labels, height, width) for height, width in SIZES]


@pytest.fixture(scope='module')
def folder(tmp_path_factory, maps):
    path = tmp_path_factory.mktemp('statistics')
    _write(path / 'a.tfrecord', maps[:5])
    _write(path / 'b.tfrecord', maps[5:])
    unlabelled = records.Record('t', b'\x89PNG', 'png', 4, 200)
    with tf.io.TFRecordWriter(str(path / 'c.tfrecord')) as writer:
        writer.write(records.serialize(unlabelled))
    assert _run(path) == 0
    return path


@pytest.fixture(scope='module')
def facts(folder):
    return json.loads((folder / 'out/statistics.json').read_text())


def _segments(maps):
    """Lists (image, class, instance, area) of all segments, by brute force."""
    for image, panoptic in enumerate(maps):
        for value in np.unique(panoptic):
            yield image, *SPEC.labels.decode(int(value)), int((panoptic == value).sum())


def test_sizes(facts):
    heights, widths = zip(*SIZES, (4, 200), strict=True)
    assert (facts['images'], facts['labelled_images']) == (13, 12)
    assert facts['height'] == {'min': 4, 'mean': np.mean(heights), 'max': 40}
    assert facts['width'] == {'min': 23, 'mean': np.mean(widths), 'max': 200}
    assert facts['crop_size'] == [65, 225]


def test_classes(facts, maps):
    pixels, images = collections.Counter(), collections.defaultdict(set)
    for image, semantic, _, area in _segments(maps):
        pixels[semantic] += area
        images[semantic].add(image)
    total = sum(pixels.values())
    assert [entry['pixels'] for entry in facts['classes']] == [pixels[c.id] for c in SPEC.categories]
    assert [entry['images'] for entry in facts['classes']] == [len(images[c.id]) for c in SPEC.categories]
    assert facts['classes'][0]['share'] == pytest.approx(pixels[0] / total)
    assert facts['void_share'] == pytest.approx(pixels[255] / total) != 0


def test_instances_and_crowds(facts, maps):
    things = [s for s in _segments(maps) if s[1] in SPEC.labels.thing_ids]
    instances = [s for s in things if s[2] > 0]
    areas = [area for *_, area in instances]
    per_image = collections.Counter(image for image, *_ in instances)
    for entry in facts['classes']:
        assert entry['instances'] == sum(s[1] == entry['id'] for s in instances)
        assert entry['crowds'] == sum(s[1] == entry['id'] and s[2] == 0 for s in things)
    assert facts['crowd_segments'] == len(things) - len(instances) > 0
    assert facts['instances']['total'] == len(areas)
    assert facts['instances']['per_image']['max'] == max(per_image.values())
    assert facts['instances']['per_image']['mean'] == pytest.approx(len(areas) / 12)
    area = facts['instances']['area']
    assert (area['min'], area['max'], area['mean']) == (min(areas), max(areas), pytest.approx(np.mean(areas)))
    for name, value in area['quantiles'].items():
        rank = np.searchsorted(np.sort(areas), value) / len(areas)
        assert rank == pytest.approx(float(name), abs=0.05)


def test_weights(facts):
    weights = np.array([entry['weight'] for entry in facts['classes']])
    pixels = np.array([entry['pixels'] for entry in facts['classes']])
    present = pixels > 0
    assert weights[present].mean() == pytest.approx(1)
    np.testing.assert_allclose((weights * pixels)[present], (weights * pixels)[present][0])
    assert not weights[~present].any()
    assert not summary.class_weights(np.zeros(3, int)).any()
    assert summary.class_weights(np.array([1, 0, 3])).tolist() == [1.5, 0, 0.5]


def test_leaves_nothing_unfinished_and_replaces_what_was(folder):
    out = folder / 'out'
    written = {'statistics.json', 'findings.json', 'statistics.html', 'transform_graph'}
    assert {path.name for path in out.iterdir()} == written
    assert (out / 'transform_graph/transform_fn').is_dir()
    (out / 'transform_graph/stale').write_text('x')
    (folder / 'b.tfrecord').unlink()
    assert _run(folder) == 0
    assert json.loads((out / 'statistics.json').read_text())['images'] == 6
    assert not (out / 'transform_graph/stale').exists()


def test_without_instances(tmp_path):
    _write(tmp_path / 'a.tfrecord', [np.full((5, 6), SPEC.labels.void), np.full((5, 6), 3000)])
    assert _run(tmp_path) == 0
    facts = json.loads((tmp_path / 'out/statistics.json').read_text())
    assert facts['instances'] == {'total': 0, 'per_image': {'mean': 0.0, 'max': 0}}
    assert facts['void_share'] == 0.5
    assert facts['classes'][3]['weight'] == 1.0


def _values(**changes):
    spec = SPEC.labels
    one, classes = np.array([1]), np.zeros(spec.num_classes, np.int64)
    values = dict.fromkeys(('images', 'labelled', 'height_min', 'height_max', 'height_sum'), one)
    values |= dict.fromkeys(('width_min', 'width_max', 'width_sum'), one)
    values |= dict.fromkeys(('occurrences', 'instances', 'crowds'), classes)
    values |= {'instances_max': one * 0, 'unreadable': one * 0, 'pixels': np.zeros(spec.num_classes + 2)}
    return {**values, **changes}


def test_summary_of_one_pixel():
    facts = summary.summarize(_values(), SPEC)
    assert facts.crop_size == (1, 1)
    assert facts.void_share == 0


@pytest.mark.parametrize(
    ('changes', 'words'),
    [
        ({'images': np.array([0])}, 'hold no image; check --input'),
        ({'unreadable': np.array([1])}, '1 of 1 labels are damaged .*; run panpipe convert again'),
        ({'pixels': np.eye(1, 21, 20)[0]}, '1 pixels have ids that cityscapes_panoptic does not have'),
    ],
)
def test_wrong_records_are_told(changes, words):
    with pytest.raises(errors.InputError, match=words):
        summary.summarize(_values(**changes), SPEC)


def test_names_are_shown_as_they_are(capsys):
    """Brackets mean nothing: a table would take them for markup."""
    one = dataclasses.replace(small_statistics.CAR, name='[/car]')
    found = dataclasses.replace(small_statistics.FOUND, dataset='sets[bold]/[/tmp].json', classes=(one,))
    statistics._show(found)
    shown = capsys.readouterr().out
    assert '[/car]' in shown
    assert 'sets[bold]/[/tmp].json' in ''.join(shown.split())


def test_no_file(tmp_path, capsys):
    assert _run(tmp_path) == 2
    assert 'matches no file; give records that' in capsys.readouterr().err
    assert not (tmp_path / 'out').exists()


@pytest.mark.slow
def test_the_command_is_quiet(tmp_path):
    _write(tmp_path / 'a.tfrecord', [np.zeros((30, 40), np.int32)])
    command = [sys.executable, '-m', 'panpipe.components.command', 'statistics', '--dataset', SPEC.name]
    given = ['--input', str(tmp_path), '--output', str(tmp_path / 'out')]
    done = subprocess.run([*command, *given], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, '')


def test_a_folder_of_records(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    tmp_path = tmp_path / 'records[1]'
    tmp_path.mkdir()
    _write(tmp_path / 'a.tfrecord', [np.zeros((30, 40), np.int32)])
    (tmp_path / 'manifest.json').write_text('{}')
    output = tmp_path / 'new' / 'out'
    given = ['--dataset', SPEC.name, '--input', tmp_path.name, '--output', str(output)]
    assert statistics.main(given) == 0
    assert json.loads((output / 'statistics.json').read_text())['images'] == 1
    assert {path.name for path in tmp_path.iterdir()} == {'a.tfrecord', 'manifest.json', 'new'}


def test_unknown_option(tmp_path, capsys):
    assert _run(tmp_path, '--inputs=x') == 2
    assert '--inputs: neither an option of this job' in capsys.readouterr().err


def test_damaged_record(tmp_path, capsys):
    _write(tmp_path / 'a.tfrecord', [np.zeros((30, 40), np.int32)])
    (tmp_path / 'a.tfrecord').write_bytes((tmp_path / 'a.tfrecord').read_bytes()[:-9])
    assert _run(tmp_path) == 2
    assert 'a.tfrecord is no intact record file' in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ['a.tfrecord']


def test_records_that_cannot_be_read_are_sorted_out():
    sound = records.serialize(records.Record('a', b'', 'png', 2, 3))
    checked = beams.outputs(statistics.CheckRecords(failures.Policy(skips=True)), [sound, b'x'])
    assert checked.results == [sound]
    assert [letter.image for letter in checked.letters] == ['a record of 1 bytes']
