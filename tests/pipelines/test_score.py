# SPDX-License-Identifier: Apache-2.0
"""Our metrics equal the official evaluators, which the score job runs on real files."""

import dataclasses
import json
import os
import shutil
import sys

import numpy as np
import pytest
from PIL import Image

import shared
import synthetic
from panpipe.model import datasets, errors
from panpipe.model.metrics import quality, results
from panpipe.pipelines import score, validate
from panpipe.pipelines.predictions import prediction_files
from panpipe.pipelines.scoring import official_python, own_score

WRONG = results.Groups(1.0, None, None)
CITYSCAPES, COCO = (datasets.SPECS[name] for name in ('cityscapes_panoptic', 'coco_panoptic'))


@pytest.fixture(scope='module', autouse=True)
def python():
    try:
        return official_python.interpreter()
    except errors.InputError as error:
        pytest.fail(f'{error}; in a checkout: run `make install`')


def _perturb(rng, panoptic, labels):
    """Makes a bad prediction of a map: shifted, with boxes of other classes, of void and of new instances."""
    prediction = np.roll(panoptic, rng.integers(-3, 4, 2), (0, 1))
    # A prediction has no crowd: what was one is a segment like any other.
    classes = (*labels.stuff_ids, *labels.thing_ids)
    height, width = prediction.shape
    for number in range(4):
        top, left = rng.integers(0, height), rng.integers(0, width)
        wrong = int(rng.choice(classes))
        box = prediction[top : top + height // 4, left : left + width // 4]
        box[...] = (
            labels.void if number == 0 else labels.encode(wrong, 90 if wrong in labels.thing_ids else 0)
        )
    return prediction


def _ours(pairs, spec):
    """Judges pairs of panoptic maps; predicted void is no class."""
    panoptic, semantic = quality.PanopticQuality.zero(spec.labels), quality.ConfusionMatrix.zero(spec.labels)
    for truth, prediction in pairs:
        panoptic += quality.PanopticQuality.from_maps(truth, prediction, spec.labels)
        classes = spec.labels.decode(prediction)[0]
        classes = np.where(classes == spec.labels.ignore_label, spec.labels.num_classes, classes)
        semantic += quality.ConfusionMatrix.from_maps(spec.labels.decode(truth)[0], classes, spec.labels)
    return panoptic.result(), semantic.result()


def _assert_equal(found, pairs, spec):
    panoptic, semantic = _ours(pairs, spec)
    assert 0 < panoptic.pq < 1
    for name, means in {'all': panoptic, 'things': panoptic.things, 'stuff': panoptic.stuff}.items():
        for key in ('pq', 'sq', 'rq'):
            assert found[key][name] == pytest.approx(100 * getattr(means, key), abs=1e-6), (key, name)
        assert found['num_classes'][name] == means.num_classes
    assert found['miou'] == pytest.approx(100 * semantic.miou, abs=1e-6)
    for category in spec.categories:
        one = panoptic.per_class[category.id]
        if one.is_valid:
            figures = found['per_class'][category.name]
            assert [figures[key] for key in ('pq', 'sq', 'rq')] == pytest.approx(
                [100 * one.pq, 100 * one.sq, 100 * one.rq], abs=1e-6
            )


def _score(tmp_path, format_name, raw, *more):
    output = tmp_path / 'score.json'
    arguments = ['--predictions', str(tmp_path / 'predictions'), '--ground_truth', str(raw), *more]
    assert score.main(['--format', format_name, '--output', str(output), *arguments]) == 0
    return json.loads(output.read_text())


def _predict_split(tmp_path, raw, spec, seed):
    """Writes perturbed predictions of the split 'val'; returns pairs of maps (truth, prediction)."""
    rng = np.random.default_rng(seed)
    truths = synthetic.truths(raw, spec)
    prediction_files = {name: _perturb(rng, truth, spec.labels) for name, truth in truths.items()}
    synthetic.write_predictions(tmp_path / 'predictions', prediction_files, spec)
    return [(truths[name], prediction_files[name]) for name in truths]


def _write_cityscapes_ids(root, city, number, panoptic):
    """Writes instanceIds and labelIds as downloaded; void becomes an ignored class (static, 4)."""
    official = CITYSCAPES.to_official()
    semantic, instance = CITYSCAPES.labels.decode(panoptic)
    label_ids = np.where(semantic == 255, 4, official[semantic])
    folder = root / 'gtFine' / 'val' / city
    folder.mkdir(parents=True, exist_ok=True)
    instance_ids = np.where(instance > 0, label_ids * 1000 + instance - 1, label_ids)
    stem = f'{city}_{number:06d}_000019'
    for kind, pixels in {
        'instanceIds': instance_ids.astype(np.uint16),
        'labelIds': label_ids.astype(np.uint8),
    }.items():
        Image.fromarray(pixels).save(folder / f'{stem}_gtFine_{kind}.png')
    return stem


def test_cityscapes_equals_the_official_evaluators_on_random_maps(tmp_path):
    rng = np.random.default_rng(5)
    truths = [synthetic.panoptic_map(rng, CITYSCAPES.labels, 60, 90, instances=12) for _ in range(6)]
    names = [_write_cityscapes_ids(tmp_path / 'raw', 'aachen', i, truth) for i, truth in enumerate(truths)]
    prediction_files = [_perturb(rng, truth, CITYSCAPES.labels) for truth in truths]
    synthetic.write_predictions(
        tmp_path / 'predictions', dict(zip(names, prediction_files, strict=True)), CITYSCAPES
    )
    found = _score(tmp_path, 'cityscapes', tmp_path / 'raw')
    _assert_equal(found, list(zip(truths, prediction_files, strict=True)), CITYSCAPES)
    assert found['evaluator'].startswith('cityscapesScripts 2.3.0')
    assert found['num_images'] == 6


@pytest.mark.parametrize('form', ['json', 'instance_ids', 'train_ids'])
def test_cityscapes_ground_truth_comes_in_three_forms(tmp_path, form):
    raw = synthetic.toy(tmp_path / 'raw', images=6)
    pairs = _predict_split(tmp_path, raw, CITYSCAPES, 1)
    panoptic_json = raw / 'gtFine' / 'cityscapes_panoptic_val.json'
    if form != 'json':
        panoptic_json.unlink()
        shutil.rmtree(panoptic_json.with_suffix(''))
    if form == 'train_ids':
        shutil.rmtree(raw / 'gtFine' / 'val')
    _assert_equal(_score(tmp_path, 'cityscapes', raw), pairs, CITYSCAPES)


def test_cityscapes_train_ids_of_a_real_image(tmp_path):
    raw = shared.sample('cityscapes_like')
    pairs = _predict_split(tmp_path, raw, CITYSCAPES, 2)
    _assert_equal(_score(tmp_path, 'cityscapes', raw), pairs, CITYSCAPES)


def test_coco_equals_the_official_evaluator_on_real_images(tmp_path):
    raw = shared.sample('coco')
    pairs = _predict_split(tmp_path, raw, COCO, 3)
    found = _score(tmp_path, 'coco', raw)
    _assert_equal(found, pairs, COCO)
    assert found['evaluator'].startswith('hotcoco 1.3.0')


@pytest.mark.parametrize('spec', [CITYSCAPES, COCO], ids=lambda spec: spec.name)
def test_relative_paths(tmp_path, monkeypatch, spec):
    raw = synthetic.toy(tmp_path, spec.name, images=6)
    pairs = _predict_split(tmp_path, raw, spec, 6)
    monkeypatch.chdir(tmp_path)
    arguments = ['--predictions', 'predictions', '--ground_truth', raw.name, '--output', 'out/score.json']
    assert score.main(['--format', spec.format, *arguments]) == 0
    _assert_equal(json.loads((tmp_path / 'out' / 'score.json').read_text()), pairs, spec)


def test_coco_layout_with_names_instead_of_numbers(tmp_path):
    raw = synthetic.toy(tmp_path / 'raw', 'coco_panoptic', images=6)
    pairs = _predict_split(tmp_path, raw, COCO, 4)
    path = raw / 'annotations' / 'panoptic_val2017.json'
    content = json.loads(path.read_text())
    for entry in content['images']:
        entry['id'] = f'street {entry["id"]}'
    for entry in content['annotations']:
        entry['image_id'] = f'street {entry["image_id"]}'
    path.write_text(json.dumps(content))
    _assert_equal(_score(tmp_path, 'coco', raw), pairs, COCO)


def test_groups_without_a_class_have_no_score(tmp_path, capsys):
    truth = np.zeros((8, 8), np.int32)
    name = _write_cityscapes_ids(tmp_path / 'raw', 'aachen', 0, truth)
    synthetic.write_predictions(tmp_path / 'predictions', {name: truth}, CITYSCAPES)
    found = _score(tmp_path, 'cityscapes', tmp_path / 'raw')
    assert found['pq'] == {'all': 100, 'things': None, 'stuff': 100}
    assert found['miou'] == 100
    assert 'mIoU' in capsys.readouterr().out


@pytest.mark.parametrize('spec', [CITYSCAPES, COCO], ids=lambda spec: spec.name)
def test_the_ground_truth_as_prediction_is_perfect_to_all_evaluators(tmp_path, spec):
    raw = synthetic.toy(tmp_path / 'raw', spec.name, images=6)
    assert 'undefined' not in _assert_truth_is_perfect(tmp_path, raw, spec)


@pytest.mark.parametrize('name', ['cityscapes_like', 'coco'])
def test_the_ground_truth_of_samples_as_prediction_is_perfect(tmp_path, name):
    spec = COCO if name == 'coco' else CITYSCAPES
    instance = _assert_truth_is_perfect(tmp_path, shared.sample(name), spec)
    if name == 'cityscapes_like':  # it comes as a panoptic JSON file alone
        assert 'has no *_gtFine_instanceIds.png files' in instance['undefined']


def _assert_truth_is_perfect(tmp_path, raw, spec):
    truths = synthetic.truths(raw, spec)
    # A crowd is no prediction that anyone could make.
    labels = spec.labels
    is_crowd = {
        name: np.isin(labels.decode(truth)[0], labels.thing_ids) & (labels.decode(truth)[1] == 0)
        for name, truth in truths.items()
    }
    semantic = {name: labels.decode(truth)[0] for name, truth in truths.items()}
    named = {name: np.where(is_crowd[name], labels.void, truth) for name, truth in truths.items()}
    synthetic.write_predictions(tmp_path / 'predictions', named, spec, semantic=semantic)
    found = _score(tmp_path, spec.format, raw)
    for key in ('pq', 'sq', 'rq'):
        assert {value for value in found[key].values() if value is not None} == {100}
    assert found['difference']['pq']['all'] == 0
    if 'undefined' not in found['instance']:
        assert [found['instance'][key] for key in ('ap', 'ap50')] == pytest.approx([100, 100], abs=1e-9)
    return found['instance']


def test_instances_of_worse_masks_score_less(tmp_path):
    for spec, raw in ((CITYSCAPES, 'c'), (COCO, 'o')):
        root = tmp_path / raw
        pairs = _predict_split(root, synthetic.toy(root / 'raw', spec.name, images=6), spec, 9)
        found = _score(root, spec.format, root / 'raw' / f'toy_{spec.format}')
        assert 0 < found['instance']['ap'] < 100
        assert found['instance']['per_class']
        assert len(pairs) == found['num_images']


@pytest.mark.parametrize('spec', [CITYSCAPES, COCO], ids=lambda spec: spec.name)
def test_label_ids_alone_have_miou_alone(tmp_path, capsys, spec):
    raw = synthetic.toy(tmp_path / 'raw', spec.name, images=6)
    truths = synthetic.truths(raw, spec)
    synthetic.write_predictions(tmp_path / 'predictions', truths, spec, has_instances=False)
    found = _score(tmp_path, spec.format, raw)
    assert found['miou'] == 100
    assert found['pq']['all'] is None
    assert 'PQ' in capsys.readouterr().out


def test_class_ids_of_16_bits_are_read_back(tmp_path):
    raw = synthetic.toy(tmp_path / 'raw', 'coco_panoptic', images=6)
    path = raw / 'annotations' / 'panoptic_val2017.json'
    content = json.loads(path.read_text())
    for entry in content['categories']:
        entry['id'] += 1000
    for segment in (s for entry in content['annotations'] for s in entry['segments_info']):
        segment['category_id'] += 1000
    path.write_text(json.dumps(content))
    categories = [dataclasses.replace(c, official_id=c.official_id + 1000) for c in COCO.categories]
    spec = dataclasses.replace(COCO, categories=tuple(categories))
    truths = synthetic.truths(raw, spec)
    folder = tmp_path / 'predictions'
    synthetic.write_predictions(folder, truths, spec, has_instances=False)
    assert _score(tmp_path, 'coco', raw)['miou'] == 100
    assert validate.check(str(folder), spec, None)[0] == []
    found = prediction_files.read(str(folder), spec)
    for name, truth in truths.items():
        is_class = truth != spec.labels.void
        classes = found.semantic(name, None)
        np.testing.assert_array_equal(classes[is_class], spec.labels.decode(truth)[0][is_class])


def test_a_second_crowd_of_a_class_is_told(tmp_path, capsys):
    raw = synthetic.toy(tmp_path / 'raw', 'coco_panoptic', images=6)
    _predict_split(tmp_path, raw, COCO, 4)
    path = raw / 'annotations' / 'panoptic_val2017.json'
    content = json.loads(path.read_text())
    segments = content['annotations'][0]['segments_info']
    segments[0].update(iscrowd=1, category_id=1)
    segments[1].update(iscrowd=1, category_id=1)
    path.write_text(json.dumps(content))
    found = _score(tmp_path, 'coco', raw)
    assert found['ambiguous_images'] == [content['annotations'][0]['image_id']]
    assert 'sees the last alone' in capsys.readouterr().out


def test_a_second_crowd_of_a_class_excuses_no_miou(tmp_path, monkeypatch, capsys):
    raw = synthetic.toy(tmp_path / 'raw', images=6)
    _predict_split(tmp_path, raw, CITYSCAPES, 4)
    path = raw / 'gtFine' / 'cityscapes_panoptic_val.json'
    content = json.loads(path.read_text())
    for segment in content['annotations'][0]['segments_info'][:2]:
        segment.update(iscrowd=1, category_id=26)
    path.write_text(json.dumps(content))
    own = own_score.panoptic
    monkeypatch.setattr(own_score, 'panoptic', lambda *given: dataclasses.replace(own(*given), pq=WRONG))
    assert len(_score(tmp_path, 'cityscapes', raw)['ambiguous_images']) == 1
    monkeypatch.setattr(own_score, 'miou', lambda *_: 1.0)
    arguments = ['--predictions', str(tmp_path / 'predictions'), '--ground_truth', str(raw)]
    assert score.main(['--format', 'cityscapes', *arguments]) == 1
    assert "panpipe's own miou differs" in capsys.readouterr().err


def test_own_numbers_that_differ_fail(tmp_path, monkeypatch, capsys):
    raw = synthetic.toy(tmp_path / 'raw', 'coco_panoptic', images=6)
    _predict_split(tmp_path, raw, COCO, 4)
    own = own_score.panoptic
    monkeypatch.setattr(own_score, 'panoptic', lambda *given: dataclasses.replace(own(*given), pq=WRONG))
    arguments = ['--predictions', str(tmp_path / 'predictions'), '--ground_truth', str(raw)]
    assert score.main(['--format', 'coco', '--output', str(tmp_path / 'score.json'), *arguments]) == 1
    assert "panpipe's own pq all differs" in capsys.readouterr().err
    assert (tmp_path / 'score.json').exists()


def _drop_annotation(folder):
    content = json.loads((folder / 'panoptic.json').read_text())
    content['annotations'].pop()
    (folder / 'panoptic.json').write_text(json.dumps(content))


def _drop_png(folder):
    next((folder / 'panoptic').iterdir()).unlink()


def _cut_png(folder):
    path = next((folder / 'panoptic').iterdir())
    path.write_bytes(path.read_bytes()[:100])


def _crop_png(folder):
    path = next((folder / 'panoptic').iterdir())
    Image.fromarray(np.array(Image.open(path))[1:]).save(path)


def _spoil_category(folder):
    content = json.loads((folder / 'panoptic.json').read_text())
    content['annotations'][0]['segments_info'][0]['category_id'] = 999
    (folder / 'panoptic.json').write_text(json.dumps(content))


@pytest.mark.parametrize(
    ('spoil', 'words'),
    [(_crop_png, 'the ground truth (64, 128)'), (_spoil_category, 'has a segment of category 999')],
)
def test_mistakes_in_predictions_of_cityscapes(tmp_path, capsys, spoil, words):
    raw = synthetic.toy(tmp_path / 'raw', images=6)
    _predict_split(tmp_path, raw, CITYSCAPES, 4)
    spoil(tmp_path / 'predictions')
    arguments = ['--predictions', str(tmp_path / 'predictions'), '--ground_truth', str(raw)]
    assert score.main(['--format', 'cityscapes', *arguments]) == 2
    assert words in capsys.readouterr().err.splitlines()[-1]


@pytest.mark.parametrize(
    ('spoil', 'more', 'words'),
    [
        (_drop_annotation, [], 'lacks 1 of 2 images'),
        (_drop_png, [], 'predicted PNGs are missing'),
        (_cut_png, [], 'cannot be decoded'),
        (_crop_png, [], '.png is (63, 128) (height, width), the ground truth (64, 128)'),
        (_spoil_category, [], 'has a segment of category 999, which'),
        (lambda folder: (folder / 'panoptic.json').write_text('{}'), [], 'not a panoptic JSON'),
        (lambda folder: (folder / 'panoptic.json').unlink(), [], 'cannot read'),
        (lambda folder: None, ['--split', 'test'], 'check --ground_truth and --split'),
        (lambda folder: None, ['--ground_truth', 'nowhere'], 'does not exist'),
        (lambda folder: None, ['--python', 'nowhere/python'], "pip install 'numpy<2.3'"),
    ],
)
def test_mistakes_are_told_in_one_line(tmp_path, capsys, spoil, more, words):
    raw = synthetic.toy(tmp_path / 'raw', 'coco_panoptic', images=6)
    _predict_split(tmp_path, raw, COCO, 4)
    spoil(tmp_path / 'predictions')
    output = tmp_path / 'score.json'
    arguments = ['--predictions', str(tmp_path / 'predictions'), '--ground_truth', str(raw)]
    assert score.main(['--format', 'coco', '--output', str(output), *arguments, *more]) == 2
    told = capsys.readouterr().err.splitlines()
    assert words in told[-1]
    assert told[-1].startswith('panpipe score: error: ')
    assert not output.exists()


def test_what_an_evaluator_says_is_passed_on(python):
    with pytest.raises(errors.InputError, match=r'stopped at these files: .*No such file'):
        official_python.call(python, 'coco.py', 'nowhere.json', 'out.json')


def test_an_interpreter_without_evaluators_is_named(monkeypatch, tmp_path):
    monkeypatch.setenv(official_python.VARIABLE, sys.executable)
    assert official_python.interpreter() == sys.executable
    with pytest.raises(errors.InputError, match=r'lacks an evaluator .*numpy<2.3'):
        official_python.call(sys.executable, 'coco.py', str(tmp_path), os.devnull)
