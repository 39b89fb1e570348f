# SPDX-License-Identifier: Apache-2.0
"""Instance annotations join judged images by file names and classes by names, whatever their numbers."""

import json

import numpy as np
import pytest
from pycocotools import mask as coco_mask

from panpipe.model import errors
from panpipe.pipelines.sources import instances

SIZE = (4, 5)
THINGS = {1: 'person', 3: 'car'}
STUFF = ('sky',)
JUDGED = (instances.Judged(9, '000000000009.png', SIZE), instances.Judged('b', 'b.png', SIZE))
SQUARE = [[1, 1, 3, 1, 3, 3, 1, 3]]
IMAGES = [{'id': 9, 'file_name': '000000000009.jpg'}, {'id': 10, 'file_name': 'b.jpg'}]
CATEGORIES = [{'id': 1, 'name': 'person'}, {'id': 2, 'name': 'sky'}, {'id': 3, 'name': 'car'}]
ANNOTATIONS = [
    {'image_id': 9, 'category_id': 3, 'segmentation': SQUARE, 'area': 3.5},
    {'image_id': 10, 'category_id': 1, 'segmentation': {'size': [4, 5], 'counts': [0, 2, 18]}, 'iscrowd': 1},
]


def _read(tmp_path, annotations=ANNOTATIONS, images=IMAGES, categories=CATEGORIES, judged=JUDGED, **more):
    path = tmp_path / 'instances.json'
    path.write_text(json.dumps({'images': images, 'annotations': annotations, 'categories': categories}))
    return instances.read(str(path), judged, THINGS, STUFF, **more)


def _with(**changes):
    return [{**ANNOTATIONS[0], **changes}]


def test_annotations_get_the_numbers_of_the_panoptic_file(tmp_path):
    found = _read(tmp_path)
    assert found.images == JUDGED
    assert found.categories == THINGS
    assert found.left_out == ''
    facts = [[one[name] for name in ('id', 'image_id', 'category_id', 'area', 'iscrowd')] for one in
             found.annotations]  # fmt: skip
    assert facts == [[1, 9, 3, 3.5, 0], [2, 'b', 1, 2.0, 1]]


def test_masks_are_run_length_coded(tmp_path):
    square, strip = (coco_mask.decode(one['segmentation']) for one in _read(tmp_path).annotations)
    expected = np.zeros(SIZE)
    expected[1:3, 1:3] = 1
    np.testing.assert_array_equal(square, expected)
    np.testing.assert_array_equal(strip, (np.indices(SIZE).sum(0) < 2) & (np.indices(SIZE)[1] == 0))


def test_an_area_that_is_not_told_is_that_of_the_mask(tmp_path):
    for area in ({}, {'area': None}):
        told = {key: value for key, value in ANNOTATIONS[0].items() if key != 'area'}
        assert _read(tmp_path, [{**told, **area}]).annotations[0]['area'] == 4


@pytest.mark.parametrize('given', [None, [], [[]]])
def test_annotations_without_a_mask_are_left_out_or_refused(tmp_path, given):
    told = [*ANNOTATIONS, {'image_id': 9, 'category_id': 3, 'segmentation': given}]
    found = _read(tmp_path, told, need_masks=False)
    assert [one['image_id'] for one in found.annotations] == [9, 'b']
    assert found.left_out == '1 annotations without mask'
    with pytest.raises(errors.InputError, match=r'annotation .* must be polygons .*; or take it out'):
        _read(tmp_path, told)


def _renumbered(entries, name, number):
    return [{**entry, name: number(entry[name])} for entry in entries]


@pytest.mark.parametrize('number', [lambda i: i + 1000, lambda i: f'id {i}', lambda i: 100 - i])
def test_the_numbers_of_the_instance_file_mean_nothing(number, tmp_path):
    expected = _read(tmp_path)
    annotations = _renumbered(_renumbered(ANNOTATIONS, 'image_id', number), 'category_id', number)
    found = _read(
        tmp_path, annotations, _renumbered(IMAGES, 'id', number), _renumbered(CATEGORIES, 'id', number)
    )
    assert found == expected


def test_the_order_of_images_and_categories_means_nothing(tmp_path):
    found, expected = _read(tmp_path, images=IMAGES[::-1], categories=CATEGORIES[::-1]), _read(tmp_path)
    assert found.annotations == expected.annotations
    assert set(found.images) == set(expected.images)


@pytest.mark.parametrize('name', ['val2017/000000000009.jpg', '000000000009.png', '.\\000000000009.jpg'])
def test_images_are_joined_as_their_names_allow(name, tmp_path):
    found = _read(tmp_path, ANNOTATIONS[:1], [{'id': 9, 'file_name': name}])
    assert found.images == JUDGED[:1]
    assert found.left_out == '1 judged images that it does not list'


def test_what_is_left_out_is_told(tmp_path):
    stuff = {**ANNOTATIONS[0], 'category_id': 2}
    elsewhere = {'image_id': 11, 'category_id': 77, 'segmentation': None}
    images = [*IMAGES[:1], {'id': 11, 'file_name': 'other.jpg'}]
    found = _read(tmp_path, [stuff, *ANNOTATIONS[:1], stuff, elsewhere], images, CATEGORIES[1:])
    assert found.left_out == (
        '2 annotations of stuff (sky), 1 images that are not judged, 1 judged images that it does not list, '
        '1 things that are no category of it'
    )
    assert [one['id'] for one in found.annotations] == [1]
    assert found.categories == {3: 'car'}


@pytest.mark.parametrize(
    ('annotations', 'words'),
    [
        (_with(image_id=12), 'image_id of the annotation .* must be the id of an image that the file lists'),
        (_with(category_id=7), r'must be a category whose name is a thing of the .* \(person, car, …\)'),
        (_with(area=-1), 'area of the annotation .* must be a number from 0 on'),
        (_with(iscrowd=3), 'iscrowd of the annotation .* must be 0 or 1'),
        (_with(segmentation=[]), 'must be polygons of 6 numbers or more'),
        (
            _with(segmentation=[[1, 1, 2, 2]]),
            'must be polygons of 6 numbers or more, or a run-length coded mask; or take',
        ),
        (_with(segmentation=[[0, 0, 1, 0, 1, 1, 0]]), 'must be polygons of 6 numbers or more'),
        (_with(segmentation=[[0, 0, 1, 0, 1, float('inf')]]), 'must be polygons of 6 numbers or more'),
        (_with(segmentation=[SQUARE[0], [0, 0, 1, 0, '1', 1]]), 'must be polygons of 6 numbers or more'),
        (
            _with(segmentation={'size': [5, 4], 'counts': [20]}),
            r'segmentation of the annotation .* must be of the size of its image, \[4, 5\]; correct',
        ),
        (_with(segmentation={'size': [4, 5], 'counts': [19]}), 'or a run-length coded mask'),
        ([{}], 'the annotation {} has no image_id; add it'),
        ([None], 'the annotation null must be an object'),
    ],
)
def test_wrong_annotations_are_told(annotations, words, tmp_path):
    with pytest.raises(errors.InputError, match=words) as caught:
        _read(tmp_path, annotations)
    assert str(caught.value).startswith(str(tmp_path / 'instances.json'))
    assert '\n' not in str(caught.value)


def test_wrong_lists_are_told(tmp_path):
    with pytest.raises(errors.InputError, match=r'id of the image .* must be an id of its own'):
        _read(tmp_path, images=[*IMAGES, {'id': 9, 'file_name': 'c.jpg'}])
    with pytest.raises(errors.InputError, match=r'lists the image b.jpg twice; keep one'):
        _read(tmp_path, images=[*IMAGES, {'id': 12, 'file_name': 'b.jpg'}])
    with pytest.raises(errors.InputError, match='lists the category car twice; keep one'):
        _read(tmp_path, categories=[*CATEGORIES, {'id': 12, 'name': 'car'}])
    with pytest.raises(errors.InputError, match=r'the category .* has no name; add it'):
        _read(tmp_path, categories=[{'id': 1}])


def test_a_file_of_another_split_is_told(tmp_path):
    words = (
        'lists none of the 2 judged images, such as 000000000009.png; images are joined by file_name: take '
        'the instance file of the same split'
    )
    with pytest.raises(errors.InputError, match=words):
        _read(tmp_path, [], [{'id': 9, 'file_name': '000000000010.jpg'}])
