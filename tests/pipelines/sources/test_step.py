# SPDX-License-Identifier: Apache-2.0
"""KITTI-STEP and MOTChallenge-STEP: records hold what was drawn, all jobs read them, mistakes are told."""

import pathlib

import numpy as np
import pytest

import judged
import layouts
import yards
from panpipe.model import config, datasets, errors
from panpipe.model.inputs import pipeline
from panpipe.pipelines import sources

NAMES = ('0002/000000', '0002/000001', '0013/000000')
SETS = ('kitti_step', 'motchallenge_step')
CONFIGS = pathlib.Path(config.__file__).parent / 'configs'


@pytest.fixture(params=SETS)
def spec(request):
    return datasets.find(request.param)


@pytest.fixture
def named(spec):
    return layouts.maps(spec, NAMES)


@pytest.fixture
def root(tmp_path, named, spec):
    return layouts.write_step(tmp_path / 'raw', 'val', named, spec)


@pytest.mark.parametrize('spec', ['kitti_step'], indirect=True)
def test_the_whole_way(root, named, spec, tmp_path, capsys):
    found = judged.converted(tmp_path, root, spec.name)
    assert {name: record.panoptic.tolist() for name, record in found.items()} == {
        name: panoptic.tolist() for name, panoptic in named.items()
    }
    folder = judged.predicted(tmp_path, found, spec.name)
    score = judged.scored(folder, root, spec.name, '--dataset', spec.name)
    assert score['pq']['all'] == pytest.approx(100)
    assert 'the official measure of ' + spec.name + ' is STQ' in capsys.readouterr().out
    for truth in (root, tmp_path / 'records/val*'):
        assert judged.evaluated(folder, truth, spec.name)['pq'] == pytest.approx(score['pq'])


def test_maps_are_those_that_were_drawn(root, named, spec):
    assert _maps(root, spec, 'val') == {name: panoptic.tolist() for name, panoptic in named.items()}


def test_things_keep_numbers_beyond_a_byte(tmp_path, spec):
    thing, stuff = spec.labels.thing_ids[0], spec.labels.stuff_ids[0]
    colors = np.array([[[thing, 1, 44], [thing, 0, 0], [stuff, 3, 4], [255, 9, 9]]], np.uint8)
    panoptic = [[thing * 1000 + 300, thing * 1000, stuff * 1000, 255000]]
    root = layouts.write_step(tmp_path, 'train', {'0000/000000': np.array(panoptic)}, spec)
    yards.save(root / 'panoptic_maps/train/0000/000000.png', colors)
    assert _maps(root, spec, 'train') == {'0000/000000': panoptic}
    panoptic[0][1] = 255000
    assert _maps(root, spec, 'train', treat_crowd_as_ignore=True) == {'0000/000000': panoptic}
    panoptic[0][:2] = [thing * 1000] * 2
    assert _maps(root, spec, 'train', semantic_only=True) == {'0000/000000': panoptic}


def _maps(root, spec, split, **options):
    found = sources.module(spec).list_images(root, split, spec, **options)
    return {entry.image_id: entry.label.read().panoptic.tolist() for entry in found}


def test_frames_may_lie_as_motchallenge_packs_them(tmp_path, named, spec):
    layouts.write_step(tmp_path, 'val', named, spec, frames='img1')
    yards.save(tmp_path / 'images/val/0002/gt/mask.png', np.zeros((2, 2, 3), np.uint8))
    (tmp_path / 'images/val/0002/seqinfo.ini').write_text('')
    found = sources.module(spec).list_images(tmp_path, 'val', spec)
    assert tuple(entry.image_id for entry in found) == NAMES
    assert found.left_out == {'.ini': ['0002/seqinfo.ini'], 'image in a sub-folder': ['0002/gt/mask.png']}


def test_test_frames_have_no_maps(tmp_path, named, spec):
    layouts.write_step(tmp_path, 'test', named, spec)
    assert {e.label for e in sources.module(spec).list_images(tmp_path, 'test', spec)} == {None}


@pytest.mark.parametrize(
    ('spoil', 'words'),
    [
        ('images', r'raw is not laid out like STEP: expected images/SPLIT/SEQ.*but it holds panoptic_maps'),
        ('images/val', 'images has no sequences of val .it is empty.; move sequences to images/val'),
        ('panoptic_maps', 'has images but no annotations of val: expected panoptic_maps/val/SEQUENCE'),
        ('panoptic_maps/val/0013/000000.png', r'1 of 3 images have no 0013/000000\.png'),
    ],
)
def test_what_is_missing_is_told_before_any_work(root, spec, spoil, words):
    (root / spoil).rename(root.with_name('away'))
    with pytest.raises(errors.InputError, match=words):
        sources.module(spec).list_images(root, 'val', spec)


@pytest.mark.parametrize(
    ('color', 'words'),
    [
        ((77, 0, 0), 'holds the class 77, which the data set does not have'),
        (('thing', 4, 0), 'has the instance 1024, but label_divisor 1000 leaves room for 999'),
    ],
)
def test_wrong_pixels_are_told(root, spec, color, words):
    path = root / 'panoptic_maps/val/0002/000000.png'
    pixels = yards.pixels(path)
    pixels[3, 4] = [spec.labels.thing_ids[0] if value == 'thing' else value for value in color]
    yards.save(path, pixels)
    with pytest.raises(errors.InputError, match=rf'0002/000000\.png.* {words}'):
        _maps(root, spec, 'val')


def test_a_grey_map_is_told(root, spec):
    yards.save(root / 'panoptic_maps/val/0002/000000.png', np.zeros((17, 23), np.uint8))
    with pytest.raises(errors.InputError, match='mode L, 8 bits a channel; a panoptic PNG holds segment ids'):
        _maps(root, spec, 'val')


@pytest.mark.parametrize(
    'path',
    [
        'kitti/panoptic_deeplab/resnet50_os32',
        'kitti/panoptic_deeplab/resnet50_os32_trainval',
        'motchallenge/panoptic_deeplab/resnet50_os32',
    ],
)
def test_training_reads_what_the_configurations_name(path, tmp_path, monkeypatch):
    records = str(tmp_path / 'records' / 'val*')
    for name, value in (('EXPERIMENT_NAME', 'step'), ('TRAIN_SET', records), ('VAL_SET', records)):
        monkeypatch.setenv(name, value)
    monkeypatch.setenv('INIT_CHECKPOINT', '')
    crop = 'train_dataset_options.crop_size=33,65'
    experiment = config.load(str(CONFIGS / f'{path}.textproto'), [crop])
    spec = datasets.find(experiment.train_dataset_options.dataset)
    root = layouts.write_step(tmp_path / 'raw', 'val', layouts.maps(spec, NAMES), spec)
    judged.converted(tmp_path, root, spec.name)
    images, targets = next(iter(pipeline.training_samples(experiment, batch_size=2)))
    assert images.shape == (2, 33, 65, 3)
    known = {*range(spec.labels.num_classes), 255}
    assert set(np.unique(targets.semantic)) <= known
    assert len(known & set(np.unique(targets.semantic))) > 1
