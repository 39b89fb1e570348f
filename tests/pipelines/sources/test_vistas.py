# SPDX-License-Identifier: Apache-2.0
"""Mapillary Vistas 1.2 and 2.0 by their own configuration: records hold what was drawn, mistakes are told."""

import json
import shutil

import numpy as np
import pytest

import judged
import layouts
import yards
from panpipe.model import datasets, errors
from panpipe.pipelines import sources

NAMES = ('--jRsD9anHdGxv4ZOCQktA', '_Zq-1x')
PLACES = (('2.0', 'v2.0'), ('1.2', 'v1.2'), ('1.2', ''))


@pytest.fixture(params=PLACES, ids='-'.join)
def world(request, tmp_path):
    """Writes a data set: root, configuration, its maps."""
    version, place = request.param
    root = tmp_path / 'raw'
    config = layouts.write_vistas_config(root, version)
    spec = datasets.find(str(config))
    named = layouts.maps(spec, NAMES)
    layouts.write_vistas(root, 'val', named, spec, version, place)
    return root, config, named


def _maps(world, **options):
    root, config, _ = world
    spec = datasets.find(str(config))
    found = sources.module(spec).list_images(root, 'val', spec, **options)
    return {entry.image_id: entry.label.read().panoptic for entry in found}


def test_the_configuration_describes_the_data_set(tmp_path):
    spec = datasets.find(str(layouts.write_vistas_config(tmp_path)))
    assert [(c.id, c.name, c.is_thing, c.official_id) for c in spec.categories] == [
        (0, 'animal--bird', True, 1),
        (1, 'construction--barrier--curb', False, 2),
        (2, 'object--vehicle--car', True, 4),
        (3, 'nature--sky', False, 6),
    ]
    assert (spec.layout, spec.labels.num_classes, spec.labels.ignore_label) == ('vistas_v2.0', 4, 255)
    renamed = (tmp_path / 'config_v2.0.json').rename(tmp_path / 'classes.json')
    assert datasets.find(str(renamed)).description == spec.description


def test_maps_are_those_that_were_drawn(world):
    for name, panoptic in _maps(world).items():
        _assert_same_segments(panoptic, world[2][name])


@pytest.mark.parametrize('world', PLACES[:1], indirect=True)
def test_the_whole_way(world, tmp_path):
    root, config, named = world
    found = judged.converted(tmp_path, root, config)
    assert set(found) == set(NAMES)
    for name, record in found.items():
        _assert_same_segments(record.panoptic, named[name])
    folder = judged.predicted(tmp_path, found, config)
    config.rename(config.with_name('gone.json'))  # records keep the description
    records = tmp_path / 'records'
    score = judged.scored(folder, root, records, '--dataset', records)
    assert score['pq']['all'] == pytest.approx(100)
    assert judged.evaluated(folder, tmp_path / 'records/val*', records)['pq'] == pytest.approx(score['pq'])


def _assert_same_segments(found, expected):
    """Compares maps but for the numbers of instances: those of a class count as the file lists them."""
    pairs = set(zip(found.ravel().tolist(), expected.ravel().tolist(), strict=True))
    assert len(pairs) == len({a for a, _ in pairs}) == len({b for _, b in pairs})
    assert all(a // 1000 == b // 1000 and (a % 1000 == 0) == (b % 1000 == 0) for a, b in pairs)


def test_instances_say_the_same_without_the_panoptic_file(world):
    root, _, named = world
    by_file = _maps(world)
    for path in root.rglob('panoptic'):
        shutil.rmtree(path)
    for name, panoptic in _maps(world).items():
        # What is crowd in the panoptic file is one instance more in 16 bits, or part of the first one.
        is_crowd = (named[name] % 1000 == 0) & np.isin(named[name] // 1000, (0, 2))
        np.testing.assert_array_equal(panoptic // 1000, named[name] // 1000)
        np.testing.assert_array_equal(panoptic % 1000 > 0, is_crowd | (named[name] % 1000 > 0))
        assert set(np.unique(by_file[name] // 1000)) == set(np.unique(panoptic // 1000))
    for name, panoptic in _maps(world, semantic_only=True).items():
        np.testing.assert_array_equal(panoptic, named[name] // 1000 * 1000)


def test_instances_of_16_bits_are_read_as_specified(tmp_path):
    config = layouts.write_vistas_config(tmp_path)
    spec = datasets.find(str(config))
    layouts.write_vistas(tmp_path, 'val', {'a': np.zeros((1, 7), np.int32)}, spec)
    shutil.rmtree(tmp_path / 'validation/v2.0/panoptic')
    ids = [[0, 5, 3 * 256, 3 * 256 + 255, 5 * 256, 2 * 256, 6 * 256 + 4]]
    yards.save(tmp_path / 'validation/v2.0/instances/a.png', np.array(ids, np.uint16))
    expected = [[1, 2, 2001, 2002, 3000, 255000, 255000]]
    assert _maps((tmp_path, config, {}))['a'].tolist() == expected


def test_test_images_have_no_labels(world):
    root, config, _ = world
    (root / 'validation').rename(root / 'testing')
    spec = datasets.find(str(config))
    assert {e.label for e in sources.module(spec).list_images(root, 'test', spec)} == {None}


def _no_images(root):
    shutil.rmtree(root / 'validation/images')
    return 'not laid out like Mapillary Vistas: expected validation/images'


def _no_annotations(root):
    for path in [*root.rglob('panoptic'), *root.rglob('instances')]:
        shutil.rmtree(path)
    return r'validation has images but no annotations: expected .*panoptic/panoptic_20'


def _no_png(root):
    next(root.rglob(f'panoptic/{NAMES[1]}.png')).unlink()
    return rf'panoptic/{NAMES[1]}\.png is missing, but .*panoptic_20.*json names it'


def _renumbered(root):
    path = next(root.rglob('panoptic_20*.json'))
    content = json.loads(path.read_text())
    content['categories'][0]['id'], content['categories'][1]['id'] = 2, 1
    path.write_text(json.dumps(content))
    return "category 2 is 'animal--bird', which has the number 1 in the description"


@pytest.mark.parametrize('spoil', [_no_images, _no_annotations, _no_png, _renumbered])
def test_what_is_wrong_is_told_before_any_work(world, spoil):
    words = spoil(world[0])
    with pytest.raises(errors.InputError, match=words):
        _maps(world)


@pytest.mark.parametrize(
    ('change', 'words'),
    [
        ({'version': 7}, 'of no known version; call it config_v1.2.json or config_v2.0.json'),
        (
            {'labels': [{'name': 'x', 'evaluate': True}]},
            "a label has no 'color'; a configuration of Mapillary",
        ),
        ({'labels': 3}, 'a configuration of Mapillary Vistas tells name'),
        ({'labels': []}, 'num_classes is 0'),
    ],
)
def test_wrong_configurations_are_told(tmp_path, change, words):
    path = layouts.write_vistas_config(tmp_path).rename(tmp_path / 'classes.json')
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(errors.InputError, match=words):
        datasets.find(str(path))
