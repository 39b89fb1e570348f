# SPDX-License-Identifier: Apache-2.0
"""Scores of things come back from the instance files that the predict job writes."""

import json

import numpy as np
import pytest

import synthetic
from panpipe.model import datasets, errors
from panpipe.model.storage import files
from panpipe.pipelines.formats import png
from panpipe.pipelines.predictions import confidences, prediction_files

CITYSCAPES, COCO = (datasets.SPECS[f'{name}_panoptic'] for name in ('cityscapes', 'coco'))
BOTH = pytest.mark.parametrize('spec', [CITYSCAPES, COCO], ids=lambda spec: spec.layout)
NAME = {'cityscapes': 'a_000000_000019', 'coco': '000000000007'}


def _written(tmp_path, spec):
    """Writes a prediction of two things of one class: (folder, a place of each by its score)."""
    thing = spec.labels.thing_ids[0]
    panoptic = np.full((8, 10), spec.labels.encode(spec.labels.stuff_ids[0], 0), np.int32)
    panoptic[:3, :4] = spec.labels.encode(thing, 1)
    panoptic[4:, 5:] = spec.labels.encode(thing, 2)
    given = {spec.labels.encode(thing, 1): 0.25, spec.labels.encode(thing, 2): 0.75}
    synthetic.write_predictions(tmp_path / 'p', {NAME[spec.layout]: panoptic}, spec, scores=given)
    return tmp_path / 'p', {0.25: (0, 0), 0.75: (7, 9)}


def _read(folder, spec):
    found = prediction_files.read(str(folder), spec)
    panoptic = found.panoptic(NAME[spec.layout])
    return confidences.read(found, NAME[spec.layout], panoptic), panoptic


@BOTH
def test_each_thing_has_its_score(tmp_path, spec):
    folder, places = _written(tmp_path, spec)
    found, panoptic = _read(folder, spec)
    assert found == {int(panoptic[place]): pytest.approx(score, abs=1e-4) for score, place in places.items()}


@BOTH
def test_without_instance_files_nothing_has_a_score(tmp_path, spec):
    folder, _ = _written(tmp_path, spec)
    for path in [*folder.glob('instance/*.txt'), *folder.glob('instances.json')]:
        path.unlink()
    assert _read(folder, spec)[0] == {}


def test_scores_of_other_images_are_left_aside(tmp_path):
    folder, places = _written(tmp_path, COCO)
    path = folder / 'instances.json'
    content = json.loads(path.read_text())
    path.write_text(json.dumps([{**content[0], 'image_id': 8}, *content[1:]]))
    assert len(_read(folder, COCO)[0]) == len(places) - 1


def test_detections_are_read_once_for_all_images_until_they_are_written_anew(tmp_path, monkeypatch):
    folder, places = _written(tmp_path, COCO)
    path, times, read = folder / 'instances.json', [], files.read
    monkeypatch.setattr(files, 'read', lambda place: times.append(place) or read(place))
    for _ in range(3):
        assert len(_read(folder, COCO)[0]) == len(places)
    assert times.count(str(path)) == 1
    path.write_text(json.dumps(json.loads(path.read_text())[1:]))
    assert len(_read(folder, COCO)[0]) == len(places) - 1


@pytest.mark.parametrize(
    ('spec', 'file', 'content'),
    [
        (CITYSCAPES, 'instance/a_000000_000019.txt', 'nonsense'),
        (CITYSCAPES, 'instance/a_000000_000019.txt', 'masks/absent.png 24 0.5'),
        (CITYSCAPES, 'instance/a_000000_000019.txt', 'masks/a_000000_000019_000.png 24 high'),
        (COCO, 'instances.json', '{'),
        (COCO, 'instances.json', '[{}]'),
        (COCO, 'instances.json', '[{"image_id": 7, "score": 1}]'),
    ],
)
def test_damage_is_an_input_error(tmp_path, spec, file, content):
    folder, _ = _written(tmp_path, spec)
    (folder / file).write_text(content)
    with pytest.raises(errors.InputError, match=r'run `panpipe validate`|cannot read'):
        _read(folder, spec)


def test_a_mask_of_another_size_is_an_input_error(tmp_path):
    folder, _ = _written(tmp_path, CITYSCAPES)
    for path in (folder / 'instance').rglob('*.png'):
        png.save(str(path), np.ones((3, 3), np.uint8))
    with pytest.raises(errors.InputError, match='run `panpipe validate`'):
        _read(folder, CITYSCAPES)
