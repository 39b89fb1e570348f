# SPDX-License-Identifier: Apache-2.0
import base64
import dataclasses
import io
import json
import pathlib
import re
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image
from tensorboard.compat.proto import event_pb2, summary_pb2
from tensorboard.summary.writer import event_file_writer
from tensorboard.util import tensor_util

import small_statistics
import synthetic
from panpipe.model import datasets
from panpipe.model.metrics import oracle_results, result_files, results
from panpipe.model.training import run_folder
from panpipe.pipelines import evaluate, report
from panpipe.pipelines.reporting import curves, gallery
from panpipe.pipelines.sources import entries

DATASETS = ('cityscapes_panoptic', 'coco_panoptic')
SCORE = results.Result(
    evaluator='an evaluator 1.0',
    num_images=2,
    pq=results.Groups(61.25, 50.0, 70.0),
    sq=results.Groups(80.0, None, None),
    rq=results.Groups(75.0, None, None),
    num_classes=results.ClassCounts(3, 1, 2),
    miou=71.5,
    per_class={'road': results.ClassFigures(91.5, None, None, None)},
)
LIST, TRAINED = 'list.json', 'evaluation.json'  # the latter of train


def _predict_the_truth(root, spec, folder):
    """Writes the ground truth of the validation split as a prediction."""
    synthetic.write_predictions(folder, synthetic.truths(root, spec), spec)


def _events(folder, values):
    writer = event_file_writer.EventFileWriter(str(folder))
    for tag, series in values.items():
        for step, value in enumerate(series, 1):
            tensor = tensor_util.make_tensor_proto(np.float32(value))
            entry = summary_pb2.Summary.Value(tag=tag, tensor=tensor)
            entry.metadata.plugin_data.plugin_name = 'scalars'
            event = event_pb2.Event(
                wall_time=10 * step, step=step, summary=summary_pb2.Summary(value=[entry])
            )
            writer.add_event(event)
    writer.close()


@pytest.fixture(scope='module', params=DATASETS)
def scene(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp('report')
    spec = datasets.SPECS[request.param]
    root = synthetic.toy(folder, spec.name, images=6)
    _predict_the_truth(root, spec, folder / 'predictions')
    return folder, root, spec


def _run(scene, *more):
    folder, root, spec = scene
    given = [
        '--dataset',
        spec.name,
        '--ground_truth',
        str(root),
        '--predictions',
        str(folder / 'predictions'),
    ]
    return report.main([*given, '--output', str(folder / 'report.html'), *more])


def test_page_is_whole_and_needs_nothing_else(scene):
    folder = scene[0]
    result_files.write(folder / 'score.json', SCORE)
    result_files.write_typed(folder / 'statistics.json', small_statistics.FOUND)
    (folder / 'c.textproto').write_text('experiment_name: "<first>"')
    _events(folder / 'run' / 'train', {'losses/train_total_loss': [3, 2, 1], 'learning_rate': [1, 2, 3]})
    _events(folder / 'run' / 'eval', {'evaluation/pq/PQ': [0.5]})
    extra = [
        '--statistics',
        str(folder / 'statistics.json'),
        '--score',
        str(folder / 'score.json'),
        '--run_dir',
        str(folder / 'run'),
    ]
    assert _run(scene, *extra, '--config', str(folder / 'c.textproto')) == 0
    page = (folder / 'report.html').read_text()
    assert page.count('src="data:image/jpeg;base64,') == 5 * 2
    assert not re.search(r'(src|href)="(?!data:|#)', page)
    assert not re.search(r'url\((?!#)|@import|<script src', page)
    assert page.count('<svg') == 4
    for text in (
        '61.2',
        '71.5',
        'PQ things',
        'an evaluator 1.0',
        '&lt;first&gt;',
        '17 instances',
        '12.5 % void',
        '0.10 steps a second',
    ):
        assert text in page
    assert '<td>train</td>' not in page
    assert len(page) < 2e6
    assert not list(folder.glob('*.partial'))


def test_pictures_alone_make_a_page(scene):
    assert _run(scene, '--pictures', '1') == 0
    page = (scene[0] / 'report.html').read_text()
    assert page.count('src="data:image/jpeg') == 5
    assert page.count('<svg') == 1  # the confusion matrix


@pytest.mark.parametrize(
    ('more', 'words'),
    [
        (['--split', 'test2'], 'test2'),
        (['--predictions', 'nowhere'], 'nowhere/panoptic.json'),
        (['--score', 'absent.json'], 'error: cannot read absent.json: it is missing'),
        (['--score', LIST], 'no JSON object; give the file that `panpipe score` wrote'),
        (
            ['--score', 'other.json'],
            'schema None, and this version of panpipe reads 1; run `panpipe score` again',
        ),
        (['--evaluation', TRAINED], 'has no intervals; give the file that `panpipe evaluate`'),
        (
            ['--oracles', TRAINED],
            'evaluation.json is of another form (format is unknown); give the file that',
        ),
        (['--statistics', 'other.json'], 'reads 1; run `panpipe statistics` again'),
        (['--statistics', TRAINED], 'is of another form (evaluator is unknown); give the file that'),
        (['--records', '.'], 'manifest.json is damaged or of another version'),
        (['--config', 'latin.textproto'], '--config latin.textproto is no text'),
        (['--run_dir', 'nope'], '--run_dir nope holds no summaries'),
        (['--pictures', '-1'], '--pictures is -1'),
    ],
)
def test_mistakes_are_one_line_and_status_2(scene, more, words, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / LIST).write_text('[]')
    result_files.write(tmp_path / TRAINED, dataclasses.replace(SCORE, format='coco'))
    for name in ('other.json', 'manifest.json'):
        (tmp_path / name).write_text(json.dumps({'images': 3, 'height': {}}))
    (tmp_path / 'latin.textproto').write_bytes(b'name: "\xe9"')
    assert _run(scene, *more) == 2
    error = capsys.readouterr().err
    assert words in error
    assert error.count('\n') == 1


def test_a_resumed_run_counts_the_later_value(tmp_path):
    _events(tmp_path / 'train', {'learning_rate': [1, 2, 3]})
    first = next(iter((tmp_path / 'train').iterdir()))
    first.rename(first.with_name('events.out.tfevents.1.first'))
    _events(tmp_path / 'train', {'learning_rate': [7, 8]})
    (curve,) = curves.read(pathlib.Path(tmp_path))
    assert curve.steps == (1, 2, 3)
    assert curve.values == (7, 8, 3)


@pytest.mark.slow
def test_reading_curves_is_quiet(tmp_path):
    _events(tmp_path / 'train', {'learning_rate': [1, 2, 3]})
    program = (
        'import pathlib, sys\nfrom panpipe.model.jobs import quiet\nquiet.libraries()\n'
        'from panpipe.pipelines.reporting import curves\nassert curves.read(pathlib.Path(sys.argv[1]))'
    )
    done = subprocess.run([sys.executable, '-c', program, str(tmp_path)], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, '')


def test_pictures_among_the_summaries_are_no_curves(tmp_path):
    _events(tmp_path / 'eval', {'evaluation/pq/PQ': [0.5]})
    directory = run_folder.RunDirectory(str(tmp_path.parent), tmp_path.name)
    directory.pictures('eval', {'a/1_image': np.zeros((3, 4, 3), np.uint8)}, 1)
    assert [curve.tag for curve in curves.read(tmp_path)] == ['evaluation/pq/PQ']


def test_class_ids_alone_make_a_page(tmp_path):
    spec = datasets.SPECS['coco_panoptic']
    root = synthetic.toy(tmp_path, spec.name, images=6)
    named = synthetic.truths(root, spec)
    synthetic.write_predictions(tmp_path / 'predictions', named, spec, has_instances=False)
    assert _run((tmp_path, root, spec)) == 0
    page = (tmp_path / 'report.html').read_text()
    assert 'mIoU<b>100.0</b>' in page
    assert 'PQ<b>' not in page


def test_right_classes_without_instances_are_no_errors(tmp_path, monkeypatch):
    spec = datasets.SPECS['coco_panoptic']
    root = synthetic.toy(tmp_path, spec.name, images=6)
    named = synthetic.truths(root, spec)
    synthetic.write_predictions(tmp_path / 'predictions', named, spec, has_instances=False)
    shown = gallery.Gallery.open(root, 'val', tmp_path / 'predictions', spec)
    read, times = entries.PanopticPng.read, []
    monkeypatch.setattr(entries.PanopticPng, 'read', lambda png: times.append(png.path) or read(png))
    for name, panoptic in named.items():
        cars = panoptic[panoptic // spec.labels.label_divisor == 3]
        assert len(np.unique(cars)) > 1
        card = shown.card(name, 'best', None)
        picture = Image.open(io.BytesIO(base64.b64decode(card.layers['errors'].partition(',')[2])))
        assert np.ptp(np.asarray(picture.convert('RGB'), np.int32), axis=2).max() < 8  # grey
    assert len(times) == len(named)


def test_an_evaluation_that_was_made_before_says_the_same(scene, tmp_path):
    folder, root, spec = scene
    evaluation = tmp_path / 'evaluation.json'
    arguments = ['--predictions', str(folder / 'predictions'), '--ground_truth', str(root)]
    assert evaluate.main(['--dataset', spec.name, '--output', str(evaluation), *arguments]) == 0
    pages = []
    for more in ([], ['--evaluation', str(evaluation)]):
        assert _run(scene, *more) == 0
        pages.append((folder / 'report.html').read_text())
    assert pages[0] == pages[1]


def test_what_perfect_heads_would_gain(scene, tmp_path):
    group = results.Groups(50.0, 40.0, 60.0)
    gain = oracle_results.Gain(results.Groups(12.34, 20.0, 0.0), -0.5)
    offset = oracle_results.Oracle(group, group, group, 70.0, gain)
    path = tmp_path / 'oracles.json'
    result_files.write_typed(
        path, oracle_results.OracleResult('panpipe', 'coco_panoptic', 3, 2, {'offset': offset})
    )
    assert _run(scene, '--oracles', str(path)) == 0
    page = (scene[0] / 'report.html').read_text()
    assert '<tr><td>offset</td><td>50.0 <small>+12.3</small></td>' in page
    assert '<td>70.0 <small>-0.5</small></td>' in page
    assert 'boundary PQ<b>100.0</b>' in page


def test_the_gallery_shows_the_worst_the_best_and_some_others():
    quality = {f'{i}': float(i) for i in range(10)} | {'void': None}
    chosen = gallery.choose(quality, 9)
    assert chosen[:6] == [*((f'{i}', 'worst') for i in (0, 1, 2)), *((f'{i}', 'best') for i in (9, 8, 7))]
    assert len({name for name, _ in chosen}) == 9
    assert {group for _, group in chosen[6:]} == {'random'}
    assert gallery.choose(quality, 9) == chosen
    assert len(gallery.choose({'a': 1.0}, 12)) == 1
    assert gallery.choose(quality, 0) == []
