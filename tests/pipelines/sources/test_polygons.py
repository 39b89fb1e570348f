# SPDX-License-Identifier: Apache-2.0
"""Polygons of Cityscapes' annotation tool are drawn pixel for pixel as cityscapesScripts draws them."""

import json
import subprocess

import numpy as np
import pytest

import judged
import layouts
import yards
from panpipe.model import datasets, errors
from panpipe.pipelines.scoring import official_python
from panpipe.pipelines.sources import cityscapes, polygons

SPEC = datasets.SPECS['cityscapes_panoptic']
NAME = 'ulm_000000_000019'
SIZE = (40, 70)
LABELS = (
    *('road', 'sky', 'building', 'car', 'person', 'bicycle', 'train', 'cargroup', 'persongroup', 'polegroup'),
    *('caravan', 'trailer', 'license plate', 'ego vehicle', 'unlabeled', 'out of roi', 'roadgroup', 'pole'),
)
# Draws each file that is named by the official programs. (They save as Pillow no longer does.)
OFFICIAL = """
import sys
import numpy
from cityscapesscripts.helpers.annotation import Annotation
from cityscapesscripts.preparation import json2instanceImg, json2labelImg
for path in sys.argv[1:]:
    annotation = Annotation()
    annotation.fromJsonFile(path)
    numpy.save(path + '.instances', numpy.array(json2instanceImg.createInstanceImage(annotation, 'ids')))
    numpy.save(path + '.labels', numpy.array(json2labelImg.createLabelImage(annotation, 'ids')))
"""


def _object(label, corners, **more):
    return {'label': label, 'polygon': [list(corner) for corner in corners], **more}


def _box(label, top, left, bottom, right, **more):
    return _object(label, [(left, top), (right, top), (right, bottom), (left, bottom)], **more)


def _random_objects(rng):
    """Draws objects: concave, crossing themselves, reaching out of the image, fractional, of few corners."""
    for _ in range(rng.integers(1, 25)):
        corners = rng.uniform(-10, 80, (rng.integers(2, 12), 2))
        if rng.random() < 0.7:
            corners = corners.round()
            corners = corners.astype(int)
        more = {} if rng.random() < 0.5 else {'deleted': int(rng.random() < 0.3), 'verified': 1}
        yield _object(str(rng.choice(LABELS)), corners.tolist(), **more)


@pytest.fixture(scope='module')
def drawn(tmp_path_factory):
    """Writes files of polygons, and has the official programs draw them."""
    root, rng = tmp_path_factory.mktemp('raw'), np.random.default_rng(11)
    names = [f'ulm_{number:06d}_000019' for number in range(60)]
    paths = [
        layouts.write_polygons(
            root, 'val', name, list(_random_objects(rng)), rng.integers(20, 70, 2).tolist()
        )
        for name in names
    ]
    subprocess.run([official_python.interpreter(), '-c', OFFICIAL, *map(str, paths)], check=True)
    return paths


def test_every_pixel_is_that_of_cityscapesscripts(drawn):
    seen = set()
    for path in drawn:
        numbers = cityscapes.drawing(str(path), SPEC).numbers()
        np.testing.assert_array_equal(numbers, np.load(f'{path}.instances.npy'))
        seen |= set(np.unique(numbers).tolist())
        plain = cityscapes._drawn(SPEC, cityscapes.entries.official_numbering(SPEC), is_semantic=True)
        np.testing.assert_array_equal(plain(str(path)).numbers(), np.load(f'{path}.labels.npy'))
    assert {0, 7, 18, 24, 26, 24000, 26001, 29000, 30000} <= seen


def test_records_say_what_those_of_the_official_maps_say(drawn, tmp_path):
    by_polygons = _panoptic(drawn[0].parents[3])
    for path in drawn:
        city = tmp_path / 'gtFine/val/ulm'
        name = path.name.removesuffix('_gtFine_polygons.json')
        yards.save(
            city / f'{name}_gtFine_instanceIds.png', np.load(f'{path}.instances.npy').astype(np.uint16)
        )
    (tmp_path / 'leftImg8bit').symlink_to(drawn[0].parents[3] / 'leftImg8bit')
    assert _panoptic(tmp_path) == by_polygons


def _panoptic(root, **options):
    found = cityscapes.list_images(root, 'val', SPEC, **options)
    return {entry.image_id: entry.label.read().panoptic.tolist() for entry in found}


def test_the_whole_way(tmp_path):
    root = tmp_path / 'raw'
    objects = [_box('sky', 0, 0, 39, 69), _box('road', 20, 0, 39, 69), _box('license plate', 25, 30, 27, 33)]
    cars = [_box('car', 15, 10 * n, 30, 10 * n + 7) for n in range(1, 5)]
    people = [
        _box('persongroup', 5, 50, 12, 60),
        _box('person', 10, 55, 19, 59),
        _box('rider', 0, 0, 9, 9, deleted=1),
    ]
    layouts.write_polygons(root, 'val', NAME, [*objects, *cars, *people], SIZE)
    found = judged.converted(tmp_path, root, SPEC.name)
    ids = set(np.unique(found[NAME].panoptic).tolist())
    assert ids == {0, 10000, 11000, 11001, 13001, 13002, 13003, 13004}
    folder = judged.predicted(tmp_path, found, SPEC.name)
    score = judged.scored(folder, root, SPEC.name)
    assert (score['pq']['all'], score['miou'], score['instance']['ap']) == (100, 100, 100)
    assert judged.evaluated(folder, root, SPEC.name)['pq'] == score['pq']
    flat = _panoptic(root, semantic_only=True)[NAME]
    np.testing.assert_array_equal(flat, found[NAME].panoptic // 1000 * 1000)


@pytest.mark.parametrize(
    ('content', 'words'),
    [
        ({'objects': [_box('tram', 0, 0, 5, 5)]}, "label 'tram' is unknown; correct the file, or describe a"),
        ({'objects': [_box('groupcar', 0, 0, 5, 5)]}, "label 'groupcar' is unknown"),
        ({'objects': [_object('car', [(1, 1)])]}, 'polygon of the object .* must be a list of two corners'),
        ({'objects': [_object('car', [(1, 1), (1, 'x')])]}, 'must be a list of two corners'),
        ({'objects': [_object('car', [(1, 1), (1, 1e9)])]}, 'must be a list of two corners'),
        ({'objects': [{'label': 'car'}]}, 'must be a list of two corners'),
        ({'objects': [{**_box('car', 0, 0, 5, 5), 'label': 7}]}, 'label of the object .* must be a text'),
        ({'objects': [_box('car', 0, 0, 5, 5, deleted='no')]}, 'deleted of the object .* must be 0 or 1'),
        ({'imgWidth': 0}, 'imgWidth of the file .* must be a number of pixels'),
        ({'imgHeight': 10**6, 'imgWidth': 10**6}, 'more than 500 megapixels'),
        ({'objects': None}, 'it has no list of objects'),
        (
            {'objects': [_box('car', 0, 0, 1, 1)] * 1001},
            "has more than 1000 objects 'car'; make some a cargroup",
        ),
    ],
)
def test_wrong_files_are_told(tmp_path, content, words):
    path = layouts.write_polygons(tmp_path, 'val', NAME, [], SIZE)
    path.write_text(json.dumps({**json.loads(path.read_text()), **content}))
    with pytest.raises(errors.InputError, match=rf'{NAME}_gtFine_polygons\.json.*{words}'):
        _panoptic(tmp_path)


def test_images_without_polygons_are_told(tmp_path):
    layouts.write_polygons(tmp_path, 'val', NAME, [], SIZE)
    layouts.write_polygons(tmp_path, 'val', 'ulm_000001_000019', [], SIZE).unlink()
    with pytest.raises(errors.InputError, match='1 of 2 images have no ulm_000001_000019_gtFine_polygons'):
        _panoptic(tmp_path)


def test_a_description_may_bring_labels_of_its_own(tmp_path):
    category = {'id': 0, 'name': 'tram', 'color': [1, 2, 3], 'is_thing': True, 'official_id': 33}
    numbers = {'layout': 'cityscapes', 'num_classes': 1, 'label_divisor': 1000, 'ignore_label': 255}
    path = tmp_path / 'trams.json'
    path.write_text(json.dumps({**numbers, 'categories': [category]}))
    layouts.write_polygons(
        tmp_path, 'val', NAME, [_box('tram', 0, 0, 3, 3), _box('static', 9, 9, 12, 12)], SIZE
    )
    (entry,) = cityscapes.list_images(tmp_path, 'val', datasets.find(str(path)))
    assert np.unique(entry.label.read().panoptic).tolist() == [1, 255000]
    assert polygons.Names.of(SPEC).counted - {'tram'} == {
        *('person', 'rider', 'car', 'truck', 'bus', 'train', 'motorcycle', 'bicycle', 'caravan', 'trailer')
    }
