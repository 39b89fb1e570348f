# SPDX-License-Identifier: Apache-2.0
"""Toy scenes in the official layouts are read back as they were drawn, and their files agree."""

import json

import numpy as np
import pytest
from PIL import Image

from panpipe.model import datasets
from panpipe.pipelines.sources import cityscapes, coco, documents, entries
from panpipe.pipelines.toy_street import layouts, scenes

CITYSCAPES, COCO = (datasets.SPECS[f'{name}_panoptic'] for name in ('cityscapes', 'coco'))
# Road, sky, a crowd of persons, two persons, a car, and the own car, which is no class.
IDS = np.array([[23, 23, 23, 23, 24], [7, 24001, 24002, 26000, 24], [7, 7, 24002, 26000, 1]], np.int32)


def _scenes():
    """Returns two scenes: the second is the first upside down, without its persons."""
    image = np.random.default_rng(0).integers(0, 256, (*IDS.shape, 3), np.uint8)
    without = np.where(IDS // 1000 == 24, scenes.ROAD, IDS)[::-1].copy()
    return [scenes.Scene(image, IDS), scenes.Scene(image[::-1].copy(), without)]


def _expected(ids, spec, official):
    """Panoptic ids of a scene: class and number of each thing as they come, 0 for crowd, else void."""
    panoptic = np.full(ids.shape, spec.labels.void, np.int64)
    for number in np.unique(ids):
        label, instance = (number // 1000, number % 1000 + 1) if number >= 1000 else (number, 0)
        if label in official:
            panoptic[ids == number] = spec.labels.encode(official[label].id, instance)
    return panoptic


def _same_segments(found, expected, spec):
    """Tells whether two maps have the same classes, crowds and segments, whatever the instances' numbers."""
    pairs = set(zip(found.ravel().tolist(), expected.ravel().tolist(), strict=True))
    divisor = spec.labels.label_divisor
    return len(pairs) == len({a for a, _ in pairs}) == len({b for _, b in pairs}) and all(
        a // divisor == b // divisor and (a % divisor == 0) == (b % divisor == 0) for a, b in pairs
    )


@pytest.mark.parametrize('split', ['train', 'val'])
def test_cityscapes_comes_back(split, tmp_path):
    layouts.write_cityscapes(tmp_path, split, _scenes(), CITYSCAPES)
    found = cityscapes.list_images(tmp_path, split, CITYSCAPES)
    assert len(found) == 2
    for entry, scene in zip(found, _scenes(), strict=True):
        record = entries.load(entry)
        expected = _expected(scene.ids, CITYSCAPES, CITYSCAPES.from_official)
        assert _same_segments(record.panoptic, expected, CITYSCAPES)
        np.testing.assert_array_equal(np.asarray(Image.open(entry.path)), scene.image)


@pytest.mark.parametrize('split', ['train', 'val'])
def test_coco_comes_back(split, tmp_path):
    layouts.write_coco(tmp_path, split, _scenes(), COCO)
    found = coco.list_images(tmp_path, split, COCO)
    by_name = {category.name: category for category in COCO.categories}
    names = {7: 'road', 23: 'sky-other-merged', 24: 'person', 26: 'car'}
    official = {label: by_name[name] for label, name in names.items()}
    for entry, scene in zip(found, _scenes(), strict=True):
        expected = _expected(scene.ids, COCO, official)
        assert _same_segments(entries.load(entry).panoptic, expected, COCO)


def _map(folder, name, kind):
    return np.asarray(Image.open(folder / f'{name}_gtFine_{kind}.png'))


def test_id_maps_of_cityscapes_agree(tmp_path):
    layouts.write_cityscapes(tmp_path, 'val', _scenes()[:1], CITYSCAPES)
    folder, name = tmp_path / 'gtFine/val/toyville', 'toyville_000000_000019'
    np.testing.assert_array_equal(_map(folder, name, 'instanceIds'), IDS)
    label_ids = np.where(IDS < 1000, IDS, IDS // 1000)
    np.testing.assert_array_equal(_map(folder, name, 'labelIds'), label_ids)
    train_ids = {official: category.id for official, category in CITYSCAPES.from_official.items()}
    expected = [[train_ids.get(int(label), 255) for label in row] for row in label_ids]
    np.testing.assert_array_equal(_map(folder, name, 'labelTrainIds'), expected)


FORMS = [
    ('cityscapes', 'gtFine/cityscapes_panoptic_val', 'id'),
    ('cityscapes', 'gtFine/cityscapes_panoptic_val_trainId', 'train id'),
    ('coco', 'annotations/panoptic_val2017', 'id'),
]


@pytest.mark.parametrize(('layout', 'place', 'numbers'), FORMS)
def test_panoptic_files_agree_with_their_pngs(layout, place, numbers, tmp_path):
    spec = {'cityscapes': CITYSCAPES, 'coco': COCO}[layout]
    layouts.WRITERS[spec.name](tmp_path, 'val', _scenes(), spec)
    document = documents.read(str(tmp_path / f'{place}.json'))
    assert len(document.annotations) == len(document.images) == 2
    by_number = {(c.official_id if numbers == 'id' else c.id): c for c in spec.categories}
    assert {c.id: (c.name, c.is_thing) for c in document.categories.values()} == {
        number: (category.name, category.is_thing) for number, category in by_number.items()
    }
    for annotation in document.annotations:
        assert document.images[annotation.image_id].size == IDS.shape
        colors = np.asarray(Image.open(tmp_path / place / annotation.file_name)).astype(int)
        ids = colors @ (1, 256, 65536)
        areas = dict(zip(*(each.tolist() for each in np.unique(ids, return_counts=True)), strict=True))
        areas.pop(0, None)
        assert {segment.id: segment.area for segment in annotation.segments} == areas
        assert all(segment.category_id in by_number for segment in annotation.segments)


@pytest.mark.parametrize(('layout', 'place', 'numbers'), FORMS)
def test_boxes_are_around_their_segments(layout, place, numbers, tmp_path):
    del numbers
    spec = {'cityscapes': CITYSCAPES, 'coco': COCO}[layout]
    layouts.WRITERS[spec.name](tmp_path, 'val', _scenes(), spec)
    for annotation in json.loads((tmp_path / f'{place}.json').read_text())['annotations']:
        ids = np.asarray(Image.open(tmp_path / place / annotation['file_name'])).astype(int) @ (1, 256, 65536)
        for segment in annotation['segments_info']:
            left, top, width, height = segment['bbox']
            inside = np.zeros(ids.shape, bool)
            inside[top : top + height, left : left + width] = True
            is_segment = ids == segment['id']
            assert not (is_segment & ~inside).any()
            for edge in (
                is_segment[top], is_segment[top + height - 1],
                is_segment[:, left], is_segment[:, left + width - 1],
            ):  # fmt: skip
                assert edge.any()


def test_crowds_are_told(tmp_path):
    layouts.write_cityscapes(tmp_path, 'val', _scenes()[:1], CITYSCAPES)
    (annotation,) = documents.read(str(tmp_path / 'gtFine/cityscapes_panoptic_val.json')).annotations
    crowds = [(s.id, s.category_id, s.area) for s in annotation.segments if s.is_crowd]
    assert crowds == [(24, 24, 2)]
    assert sorted(s.id for s in annotation.segments) == [7, 23, 24, 24001, 24002, 26000]


def test_the_same_scenes_make_the_same_files(tmp_path):
    for root in ('a', 'b'):
        for spec in (CITYSCAPES, COCO):
            layouts.WRITERS[spec.name](tmp_path / root / spec.name, 'val', _scenes(), spec)
    contents = [
        {path.relative_to(tmp_path / root): path.read_bytes() for path in (tmp_path / root).rglob('*.*')}
        for root in ('a', 'b')
    ]
    assert contents[0] == contents[1]
    assert len(contents[0]) > 10
