# SPDX-License-Identifier: Apache-2.0
"""`panpipe dataset check` says what descriptions and raw files hold, and what is wrong with them."""

import re

import numpy as np
import pytest
from PIL import Image

import layouts
import synthetic
import yards
from panpipe.components import command
from panpipe.model import datasets
from panpipe.pipelines import dataset, sources
from panpipe.pipelines.sources import survey


@pytest.fixture
def yard(tmp_path):
    return yards.Yard(tmp_path / 'yard')


@pytest.fixture
def check(capsys, monkeypatch):
    """Runs the command; returns status, what it said, and its errors, each with single spaces."""
    monkeypatch.setenv('COLUMNS', '200')

    def run(*arguments):
        status = command.main(['dataset', 'check', *map(str, arguments)])
        return status, *(re.sub(r'[│┃ ]+', ' ', text) for text in capsys.readouterr())

    return run


def test_a_description_alone(yard, check):
    status, said, _ = check(yard.dataset)
    assert status == 0
    for words in (
        'layout coco',
        'things 2: cart, crate',
        'stuff 2: soil, fence',
        '1000: at most 999 instances',
    ):
        assert words in said
    assert 'note:' not in said


@pytest.mark.parametrize('name', datasets.SPECS)
def test_shipped_descriptions_need_no_advice(name, check):
    status, said, _ = check(name)
    assert (status, 'note:' in said) == (0, False)


@pytest.mark.parametrize(
    ('changes', 'words'),
    [
        ({'num_classes': 9}, 'no category has the id 4: the network would learn a class that never occurs'),
        ({'official_void': 9}, 'official_void 9 is the official_id of cart'),
    ],
)
def test_what_is_seldom_meant_is_noted(yard, check, changes, words):
    yard.edit(lambda content: content.update(changes), yard.dataset)
    status, said, _ = check(yard.dataset)
    assert status == 0
    assert words in said


def test_twins_in_color_are_noted(yard, check):
    yard.edit(lambda content: content['categories'][1].update(color=[120, 80, 40]), yard.dataset)
    assert 'soil and fence have the same color' in check(yard.dataset)[1]


def test_raw_files(yard, check):
    (yard.root / 'val/notes.txt').write_text('')
    status, said, error = check(yard.dataset, '--raw_data', yard.root, '--splits', 'val')
    assert status == 0, error
    assert 'val 2 – 1 2 4 of 4 48 x 64' in said
    assert 'val: left out (.txt: notes.txt)' in said
    assert 'the crop_size that holds every image that was read is 65 x 65' in said
    assert 'not in' not in said


def test_classes_that_are_never_seen(yard, check):
    category = {'id': 4, 'name': 'gate', 'color': [1, 1, 1], 'is_thing': False, 'official_id': 20}
    yard.edit(lambda content: content['categories'].append(category), yard.dataset)
    yard.edit(lambda content: content.update(num_classes=5), yard.dataset)
    arguments = (yard.dataset, '--raw_data', yard.root, '--splits', 'val')
    assert 'val: not in any image: gate' in check(*arguments)[1]
    assert 'val: not in the 1 images that were read: gate' in check(*arguments, '--images', '1')[1]


def test_faults_are_told_with_status_2(yard, check):
    pixels = yards.pixels(yard.png('im2.png'))
    pixels[0, 0] = 9
    yards.save(yard.png('im2.png'), pixels)
    yard.image(0).write_bytes(yard.image(0).read_bytes()[:50])
    status, said, error = check(yard.dataset, '--raw_data', yard.root)
    assert status == 2
    assert 'val 2 – 0 0' in said
    lines = error.splitlines()
    assert any(line.startswith('panpipe dataset: train: ') and 'no images of train' in line for line in lines)
    assert any('im1.jpg cannot be decoded' in line for line in lines)
    assert any('im2.png: its pixels name segment' in line for line in lines)
    assert not any(': test: ' in line for line in lines)  # a data set need not have such a split
    assert lines[-1] == 'panpipe dataset: error: 3 faults, told above; correct the files, then check again'


@pytest.mark.parametrize(
    ('arguments', 'words'),
    [
        (['--splits', 'dev'], "--splits is 'dev'; it must name some of train, val, test"),
        (['--images', '-1'], '--images is -1'),
        (['--raw_data', 'nowhere', '--splits', 'val'], 'nowhere is not a folder'),
        (['--max_megapixels', '0'], '--max_megapixels is 0'),
    ],
)
def test_wrong_arguments_are_told(yard, check, arguments, words):
    status, _, error = check(yard.dataset, '--raw_data', yard.root, *arguments)
    assert status == 2
    assert words in error


def test_strict_refuses_what_is_left_out(yard, check):
    (yard.root / 'val/notes.txt').write_text('')
    status, _, error = check(yard.dataset, '--raw_data', yard.root, '--splits', 'val', '--strict')
    assert status == 2
    assert 'panpipe dataset: val: left out: 1 .txt (notes.txt); correct the data set' in error


def test_surveys_add_up_in_any_order(tmp_path):
    spec = datasets.SPECS['kitti_step']
    named = layouts.maps(spec, [f'0001/{n:06d}' for n in range(6)])
    root = layouts.write_step(tmp_path, 'val', named, spec)
    found = sources.module(spec).list_images(root, 'val', spec)
    each = [survey.Survey.of(entry, spec) for entry in found]
    total = sum(each, survey.Survey())
    assert total == sum(each[:2], survey.Survey()) + sum(each[2:], survey.Survey())
    assert total == sum(reversed(each), survey.Survey())
    assert (total.images, total.pixels, total.largest) == (6, 6 * 17 * 23, (17, 23))
    assert total.void == sum(int((panoptic == 255000).sum()) for panoptic in named.values())
    for class_id, images in total.classes.items():
        assert images == sum(bool((panoptic // 1000 == class_id).any()) for panoptic in named.values())
    assert total.most_instances == max(
        len([i for i in np.unique(panoptic) if i // 1000 in (11, 13) and i % 1000])
        for panoptic in named.values()
    )


def test_the_toy_data_set_is_sound(tmp_path, check):
    root = synthetic.toy(tmp_path, images=3)
    status, said, error = check('cityscapes_panoptic', '--raw_data', root, '--splits', 'train,val')
    assert status == 0, error
    assert 'train 3 2975 0 3' in said
    Image.new('L', (128, 64)).save(next((root / 'gtFine/train').rglob('*_instanceIds.png')))
    status, _, error = check('cityscapes_panoptic', '--raw_data', root, '--semantic_only')
    assert status == 0, error


def test_help_shows_examples(capsys):
    with pytest.raises(SystemExit, match='0'):
        dataset.main(['check', '--help'])
    assert 'panpipe dataset check robots.json --raw_data robots' in capsys.readouterr().out
