# SPDX-License-Identifier: Apache-2.0
"""Panoptic maps survive the way into official form and back."""

import doctest
import json

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st
from PIL import Image
from pycocotools import mask as coco_mask

import synthetic
from panpipe.model import datasets
from panpipe.pipelines.formats import cityscapes, coco, maps, segments

SPECS = [datasets.SPECS[name] for name in ('cityscapes_panoptic', 'coco_panoptic')]


@pytest.mark.parametrize('spec', SPECS, ids=lambda spec: spec.name)
@hypothesis.given(st.integers(0, 2**32 - 1))
def test_every_segment_gets_its_color_class_and_area(spec, seed):
    panoptic = synthetic.panoptic_map(np.random.default_rng(seed), spec.labels)
    colors, found = segments.encode(panoptic, spec)
    ids = colors.astype(int) @ [1, 256, 65536]
    np.testing.assert_array_equal(ids == 0, panoptic == spec.labels.void)
    assert len({s.id for s in found}) == len(found) == len(np.unique(panoptic[panoptic != spec.labels.void]))
    for segment in found:
        assert 0 < segment.id < 2**24
        one = panoptic[ids == segment.id]
        assert len(one) == segment.area
        assert set(one // spec.labels.label_divisor) == {spec.from_official[segment.category_id].id}
        assert len(set(one)) == 1


@hypothesis.given(st.integers(0, 2**32 - 1))
def test_classes_come_back(seed):
    spec = SPECS[0]
    panoptic = synthetic.panoptic_map(np.random.default_rng(seed), spec.labels)
    colors, found = segments.encode(panoptic, spec)
    listed = segments.annotation('x', 'x.png', found)['segments_info']
    class_of = {number: category.id for number, category in spec.from_official.items()}
    classes = segments.classes(colors, listed, class_of, void=255)
    np.testing.assert_array_equal(classes, panoptic // spec.labels.label_divisor)


SMALL_IDS = st.integers(0, 5) | st.sampled_from([256, 65536, 2**24 - 1])


@hypothesis.given(st.lists(SMALL_IDS, min_size=1), st.lists(st.tuples(SMALL_IDS, st.integers(1, 3))))
def test_classes_are_looked_up_segment_by_segment(pixels, listed):
    colors = segments.color(np.array([pixels]))
    found = [{'id': number, 'category_id': category} for number, category in listed]
    classes = segments.classes(colors, found, {1: 10, 2: 20, 3: 30}, void=7)
    assert classes.dtype == np.int32
    assert classes.tolist() == [[{i: 10 * category for i, category in listed}.get(p, 7) for p in pixels]]


@hypothesis.given(st.integers(0, 2**24 - 1))
def test_a_color_is_the_number_of_a_segment(number):
    red, green, blue = segments.color(np.array([[number]]))[0, 0].tolist()
    assert red + 256 * green + 65536 * blue == number


def test_an_unknown_class_is_refused():
    with pytest.raises(ValueError, match='class 134 is not one of coco_panoptic'):
        segments.encode(np.array([[134 * 256]], np.int32), SPECS[1])


def test_cityscapes_files(tmp_path):
    for name in cityscapes.FOLDERS:
        (tmp_path / name).mkdir()
    panoptic = np.array([[0, 13001], [13002, 255000]], np.int32)
    semantic = np.array([[0, 13], [13, 10]], np.int32)
    scores = {13001: 0.25, 13002: 0.5, 13003: 0.75}
    given = maps.Maps('bonn_000001_000019_leftImg8bit', panoptic, semantic, scores)
    note = cityscapes.write(tmp_path, given, SPECS[0])
    entry = note.annotation
    assert entry['image_id'] == 'bonn_000001_000019'
    assert [s['category_id'] for s in entry['segments_info']] == [7, 26, 26]
    assert [s['area'] for s in entry['segments_info']] == [1, 1, 1]
    ids = np.array(Image.open(tmp_path / 'panoptic' / entry['file_name'])).astype(int) @ [1, 256, 65536]
    assert ids.ravel().tolist() == [*(s['id'] for s in entry['segments_info']), 0]
    label_ids = np.array(Image.open(tmp_path / 'semantic' / 'bonn_000001_000019.png'))
    assert label_ids.tolist() == [[7, 26], [26, 23]]
    lines = (tmp_path / 'instance' / 'bonn_000001_000019.txt').read_text().splitlines()
    assert [line.split()[1:] for line in lines] == [['26', '0.5'], ['26', '0.25']]  # the third has no pixel
    masks = [np.array(Image.open(tmp_path / 'instance' / line.split()[0])) for line in lines]
    assert [mask.tolist() for mask in masks] == [[[0, 0], [1, 0]], [[0, 1], [0, 0]]]


def test_coco_files(tmp_path):
    (tmp_path / 'panoptic').mkdir()
    panoptic = np.array([[0, 256 * 12 + 1, 133 * 256]], np.int32)
    given = maps.Maps('000000000139', panoptic, panoptic // 256, {256 * 12 + 1: 0.5})
    note = coco.write(tmp_path, given, SPECS[1])
    entry = note.annotation
    assert (entry['image_id'], entry['file_name']) == (139, '000000000139.png')
    assert [s['category_id'] for s in entry['segments_info']] == [13, 200]
    assert [path.name for path in (tmp_path / 'panoptic').iterdir()] == ['000000000139.png']
    documents = coco.documents(synthetic.Noted([note]), SPECS[1])
    (thing,) = json.loads(''.join(documents['instances.json']))
    assert (thing['image_id'], thing['category_id'], thing['score']) == (139, 13, 0.5)
    assert coco_mask.decode(thing['segmentation']).tolist() == [[0, 1, 0]]
    assert 'bbox' not in thing  # pycocotools would take the detection for a box


@pytest.mark.parametrize(('module', 'spec'), [(cityscapes, SPECS[0]), (coco, SPECS[1])])
def test_a_model_without_instances_writes_classes_alone(tmp_path, module, spec):
    (tmp_path / 'semantic').mkdir()
    semantic = np.array([[1, spec.labels.thing_ids[0]]], np.int32)
    note = module.write(tmp_path, maps.Maps('a', semantic, semantic, None), spec)
    assert module.documents(synthetic.Noted([note]), spec) == {}
    assert [path.name for path in tmp_path.rglob('*.png')] == ['a.png']
    official = [spec.by_id[i].official_id for i in semantic.ravel()]
    assert np.array(Image.open(tmp_path / 'semantic' / 'a.png')).ravel().tolist() == official


def test_the_document_is_ordered_and_lists_the_categories():
    notes = [maps.Note(str(i), segments.annotation(i, f'{i}.png', ()), []) for i in (2, 1)]
    document = json.loads(''.join(coco.documents(synthetic.Noted(notes), SPECS[1])['panoptic.json']))
    assert [entry['image_id'] for entry in document['annotations']] == [1, 2]
    assert document['categories'][0] == {'id': 1, 'name': 'person', 'isthing': 1, 'color': [220, 20, 60]}
    assert len(document['categories']) == 133


def test_the_layout_decides_the_format():
    assert {spec.name: spec.format for spec in datasets.SPECS.values()} == {
        'cityscapes_panoptic': 'cityscapes',
        'coco_panoptic': 'coco',
        'ade20k_panoptic': 'coco',
        'kitti_step': 'coco',
        'motchallenge_step': 'coco',
    }


@pytest.mark.parametrize('module', [cityscapes, coco])
def test_the_documented_examples_hold(module):
    assert doctest.testmod(module).failed == 0
