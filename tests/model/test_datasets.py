# SPDX-License-Identifier: Apache-2.0
"""The shipped data sets, and custom ones."""

import json

import pytest

import shared
from panpipe.model import datasets, errors


def test_numbers_of_the_shipped_sets():
    facts = {
        name: (s.labels.num_classes, s.labels.ignore_label, s.labels.label_divisor, len(s.labels.thing_ids))
        for name, s in datasets.SPECS.items()
    }
    assert facts == {
        'cityscapes_panoptic': (19, 255, 1000, 8),
        'coco_panoptic': (134, 0, 256, 80),
        'ade20k_panoptic': (151, 0, 1000, 100),
        'kitti_step': (19, 255, 1000, 2),
        'motchallenge_step': (7, 255, 1000, 1),
    }


def test_official_ids_of_cityscapes():
    spec = datasets.SPECS['cityscapes_panoptic']
    ids = [7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33]
    assert spec.to_official()[:19].tolist() == ids
    assert spec.to_official()[255] == 0
    assert spec.from_official[26].name == 'car'
    assert spec.palette()[13].tolist() == [0, 0, 142]


def test_coco_equals_the_official_list():
    official = json.loads((shared.sample('coco_formats') / 'panoptic_coco_categories.json').read_text())
    ours = datasets.SPECS['coco_panoptic'].categories
    assert [(c.official_id, c.name, list(c.color), c.is_thing) for c in ours] == [
        (c['id'], c['name'], c['color'], bool(c['isthing'])) for c in official
    ]


def _description(tmp_path, **changes):
    category = {'id': 1, 'name': 'cell', 'color': [255, 0, 0], 'is_thing': True, 'official_id': 7}
    facts = {
        'layout': 'coco',
        'num_classes': 2,
        'label_divisor': 256,
        'ignore_label': 0,
        'categories': [category],
    }
    path = tmp_path / 'cells.json'
    path.write_text(json.dumps({**facts, **changes}))
    return str(path)


def test_custom_data_set(tmp_path):
    spec = datasets.find(_description(tmp_path))
    assert spec.labels.thing_ids == (1,)
    assert spec.by_id[1].official_id == 7


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        ({'color': [999, 0, 0]}, 'three numbers of 0 .. 255'),
        ({'id': 7}, 'id of cell is 7; it must be 0 .. num_classes - 1 = 1'),
        ({'official_id': -5}, 'official_id of cell is -5'),
        ({'official_id': 2**16}, 'it must be 0 .. 65535'),
        ({'is_thing': 'false'}, r"categories\[0\].is_thing is 'false', not true or false"),
        ({'name': None}, r"categories\[0\].name is 'None', not a text"),
        ({'id': 0}, 'ignore_label 0 is the id of cell'),
    ],
)
def test_categories_out_of_range_are_refused(tmp_path, changes, message):
    category = {'id': 1, 'name': 'cell', 'color': [255, 0, 0], 'is_thing': False, 'official_id': 7}
    with pytest.raises(errors.InputError, match=message):
        datasets.find(_description(tmp_path, categories=[category | changes]))


@pytest.mark.parametrize(('name', 'changes'), [('id', {'official_id': 8}), ('official_id', {'id': 2})])
def test_ids_given_twice_are_refused(tmp_path, name, changes):
    category = {'id': 1, 'name': 'cell', 'color': [255, 0, 0], 'is_thing': False, 'official_id': 7}
    with pytest.raises(errors.InputError, match=f' {name} [17] belongs to two categories'):
        datasets.find(_description(tmp_path, categories=[category, category | changes]))


def test_unknown_layouts_are_refused(tmp_path):
    with pytest.raises(errors.InputError, match="layout is 'nonsense'; it must be one of cityscapes, coco"):
        datasets.find(_description(tmp_path, layout='nonsense'))


@pytest.mark.parametrize('changes', [{'label_divisor': 0}, {'categories': [{}]}, {'num_classes': 'many'}])
def test_bad_descriptions_are_refused(tmp_path, changes):
    with pytest.raises(errors.InputError, match='does not describe a data set'):
        datasets.find(_description(tmp_path, **changes))


def test_unknown_names_are_refused(tmp_path):
    with pytest.raises(errors.InputError, match='one of cityscapes_panoptic, coco_panoptic'):
        datasets.find('cityscape')
    with pytest.raises(errors.InputError, match='No such file'):
        datasets.find(str(tmp_path / 'none.json'))
