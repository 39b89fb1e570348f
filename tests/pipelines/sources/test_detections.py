# SPDX-License-Identifier: Apache-2.0
"""Detections that people bring are read as COCOeval takes them, or told with what they must be."""

import json

import numpy as np
import pytest
from pycocotools import mask as coco_mask

from panpipe.model import errors
from panpipe.model.metrics import masks
from panpipe.pipelines.sources import detections

MASK = np.array([[0, 1, 1], [0, 1, 0]])
CODED = {'size': [2, 3], 'counts': masks.encode(MASK, [1])[1]['counts'].decode()}
ENTRY = {'image_id': 7, 'category_id': 1, 'score': 0.5, 'segmentation': CODED}


def _read(tmp_path, content, images=(7, 'street')):
    path = tmp_path / 'instances.json'
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return detections.read(str(path), images)


def _without(name):
    return {key: value for key, value in ENTRY.items() if key != name}


@pytest.mark.parametrize('counts', [CODED['counts'], [2, 3, 1]])
def test_masks_come_back_from_either_coding(counts, tmp_path):
    (found,) = _read(tmp_path, [{**ENTRY, 'segmentation': {'size': [2, 3], 'counts': counts}}])
    assert set(found) == set(ENTRY)
    np.testing.assert_array_equal(coco_mask.decode(found['segmentation']), MASK)
    assert {**found, 'segmentation': CODED} == ENTRY


def test_images_may_be_called_by_numbers_and_texts(tmp_path):
    found = _read(tmp_path, [{**ENTRY, 'image_id': 'street', 'score': 1}, ENTRY])
    assert [(one['image_id'], one['score']) for one in found] == [('street', 1), (7, 0.5)]


def test_other_fields_are_left_aside(tmp_path):
    # COCO.loadRes would judge a box in place of the mask.
    (found,) = _read(tmp_path, [{**ENTRY, 'bbox': [0, 0, 1, 1], 'id': 4, 'area': 3}])
    assert set(found) == set(ENTRY)


def test_no_detection_is_a_list_of_none(tmp_path):
    assert _read(tmp_path, []) == []


@pytest.mark.parametrize(
    ('content', 'words'),
    [
        ('', r'is not JSON \(.*\); run `panpipe predict` again$'),
        ('[' * 10**5, r'is not JSON \(.*\); run `panpipe predict` again$'),
        ({'annotations': []}, 'is not a list of detections; run `panpipe validate`$'),
        ([7], 'the detection 7 must be an object; correct the file$'),
        ([_without('image_id')], 'has no image_id; add it$'),
        ([_without('category_id')], 'has no category_id; add it$'),
        ([_without('score')], 'has no score; add it$'),
        ([_without('segmentation')], 'must be a run-length coded mask; correct the file$'),
        (
            [{**ENTRY, 'image_id': 8}],
            'image_id of the detection .* must be that of an image of panoptic.json',
        ),
        ([{**ENTRY, 'image_id': '7'}], 'image_id of the detection .* must be that of an image of panoptic'),
        ([{**ENTRY, 'image_id': [7]}], 'image_id of the detection .* must be .* a text'),
        ([{**ENTRY, 'category_id': 1.5}], 'category_id of the detection .* must be a whole number'),
        ([{**ENTRY, 'category_id': True}], 'category_id of the detection .* must be a whole number'),
        ([{**ENTRY, 'score': '0.5'}], 'score of the detection .* must be a number from 0 on'),
        ([{**ENTRY, 'score': float('nan')}], 'score of the detection .* must be a number from 0 on'),
        ([{**ENTRY, 'score': -0.1}], 'score of the detection .* must be a number from 0 on'),
    ],
)
def test_mistakes_are_told(content, words, tmp_path):
    with pytest.raises(errors.InputError, match=words) as caught:
        _read(tmp_path, content)
    assert str(caught.value).startswith(str(tmp_path / 'instances.json'))
    assert '\n' not in str(caught.value)


@pytest.mark.parametrize(
    'mask',
    [
        [[0, 0, 2, 0, 2, 1]],  # polygons tell no size
        {'size': [2, 3]},
        {'size': [2], 'counts': [2, 3, 1]},
        {'size': [2, 3.0], 'counts': [2, 3, 1]},
        {'size': [0, 3], 'counts': []},
        {'size': [3, 3], 'counts': [2, 3, 1]},
        {'size': [2, 3], 'counts': [2, -3, 7]},
        {'size': [2, 3], 'counts': [2, 3, True]},
        {'size': [2, 3], 'counts': CODED['counts'] + '1'},
        {'size': [2, 3], 'counts': 'é'},
        {'size': [2, 3], 'counts': ''},
    ],
)
def test_masks_that_pycocotools_would_trust_are_told(mask, tmp_path):
    with pytest.raises(
        errors.InputError, match=r'segmentation of the detection .* must be a run-length coded'
    ):
        _read(tmp_path, [{**ENTRY, 'segmentation': mask}])


def test_a_missing_file_is_told(tmp_path):
    with pytest.raises(errors.InputError, match=r'cannot read .*none\.json: it is missing'):
        detections.read(str(tmp_path / 'none.json'), [7])
