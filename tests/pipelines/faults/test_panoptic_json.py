# SPDX-License-Identifier: Apache-2.0
"""Each check of panoptic.json finds its fault, and none in a sound file."""

import copy

import pytest

from panpipe.model import datasets
from panpipe.pipelines.faults import panoptic_json
from panpipe.pipelines.formats import cityscapes, coco

COCO = datasets.SPECS['coco_panoptic']
CITYSCAPES = datasets.SPECS['cityscapes_panoptic']
PERSON, CAR, SKY, ROAD = 1, 3, 187, 149
SEGMENTS = [{'id': 5, 'category_id': PERSON, 'area': 3}, {'id': 6, 'category_id': SKY, 'area': 1}]
ENTRY = {'image_id': 9, 'file_name': '000000000009.png', 'segments_info': SEGMENTS}


def _with(number=0, **changes):
    """Returns the entry with a changed segment; None takes a field away."""
    entry = copy.deepcopy(ENTRY)
    entry['segments_info'][number] |= changes
    for name, value in changes.items():
        if value is None:
            del entry['segments_info'][number][name]
    return entry


def _told(found):
    assert all('\n' not in str(fault) for fault in found)
    return [f'{fault.where}: {fault.what}' for fault in found]


def test_a_sound_file_has_no_fault():
    named = {'000000000009': ENTRY}
    assert not panoptic_json.document({'annotations': [ENTRY]})
    assert not panoptic_json.annotation(0, ENTRY)
    assert not panoptic_json.images(list(named), named)
    assert not panoptic_json.file_names(named)
    assert not panoptic_json.image_ids([ENTRY])
    assert not panoptic_json.image_id(ENTRY, '000000000009', None, coco)
    assert not panoptic_json.segments(ENTRY, '9')
    assert not panoptic_json.stuff(ENTRY, '9', COCO)
    assert not panoptic_json.categories(named, COCO)
    assert not panoptic_json.content([ENTRY])
    assert not panoptic_json.areas({0: 7, 5: 3, 6: 1}, ENTRY, 'panoptic/9.png')


def test_a_fault_is_one_line_of_place_mistake_and_cure():
    (fault,) = panoptic_json.document({'annotations': []})
    assert str(fault) == (
        'panoptic.json: has no predictions; run `panpipe predict` on all images of the split'
    )


@pytest.mark.parametrize('content', [None, [], [ENTRY], {}, {'annotations': {}}, 'text'])
def test_another_form_is_a_fault(content):
    assert _told(panoptic_json.document(content)) == [
        'panoptic.json: is not an object with a list of annotations'
    ]


def _without(name):
    return {key: value for key, value in ENTRY.items() if key != name}


@pytest.mark.parametrize(
    ('entry', 'words'),
    [
        (None, ': is not an object'),
        ([ENTRY], ': is not an object'),
        (_without('image_id'), ': has no image_id'),
        ({**ENTRY, 'image_id': True}, ': has no image_id'),
        ({**ENTRY, 'image_id': 9.0}, ': has no image_id'),
        (_without('file_name'), ': has no file_name'),
        ({**ENTRY, 'file_name': 9}, ': has no file_name'),
        (_without('segments_info'), ': has no list of segments_info'),
        ({**ENTRY, 'segments_info': {}}, ': has no list of segments_info'),
        ({**ENTRY, 'segments_info': [7]}, ', segments_info[0]: has no id that is an integer'),
        (_with(1, id=None), ', segments_info[1]: has no id that is an integer'),
        (_with(id='5'), ', segments_info[0]: has no id that is an integer'),
        (_with(id=True), ', segments_info[0]: has no id that is an integer'),
        (_with(category_id=1.0), ', segments_info[0]: has no category_id that is an integer'),
        (_with(1, area='3'), ', segments_info[1]: has no area that is an integer'),
    ],
)
def test_an_entry_of_another_form_is_a_fault(entry, words):
    assert _told(panoptic_json.annotation(4, entry)) == [f'panoptic.json, annotations[4]{words}']


def test_areas_may_be_left_out():
    assert not panoptic_json.annotation(0, _with(area=None))
    assert not panoptic_json.areas({5: 3, 6: 1}, _with(area=None), 'panoptic/9.png')


@pytest.mark.parametrize(
    ('names', 'expected', 'words'),
    [
        (['a', 'b', 'a'], None, ['predicts the image a 2 times']),
        (['a'], ['a', 'b', 'b'], ['has no prediction of the image b']),
        (['a', 'b'], ['a'], ['predicts b, which is no image of the split']),
        (
            ['c', 'c'],
            ['a'],
            [
                'predicts the image c 2 times',
                'has no prediction of the image a',
                'predicts c, which is no image of the split',
            ],
        ),
        ([], [], []),
    ],
)
def test_each_image_is_predicted_once(names, expected, words):
    assert _told(panoptic_json.images(names, expected)) == [f'panoptic.json: {word}' for word in words]


def test_images_share_neither_files_nor_ids():
    assert _told(
        panoptic_json.file_names({'a': ENTRY, 'b': ENTRY, 'c': {**ENTRY, 'file_name': 'c.png'}})
    ) == ['panoptic.json: names the file 000000000009.png for 2 images']
    entries = [ENTRY, {**ENTRY, 'image_id': '9'}, ENTRY, ENTRY]
    assert _told(panoptic_json.image_ids(entries)) == ['panoptic.json: has the image_id 9 3 times']


@pytest.mark.parametrize(
    ('given', 'official', 'form', 'is_right'),
    [
        (9, None, coco, True),
        (7, None, coco, True),  # any number may be right where no annotation file tells
        ('9', None, coco, False),
        (9, 9, coco, True),
        (7, 9, coco, False),
        ('9', 9, coco, False),
        ('street', 'street', coco, True),
        ('000000000009', None, cityscapes, True),
        (9, None, cityscapes, False),
    ],
)
def test_the_id_is_the_evaluators(given, official, form, is_right):
    found = panoptic_json.image_id({**ENTRY, 'image_id': given}, '000000000009', official, form)
    assert not found if is_right else len(found) == 1
    for fault in found:
        right = form.image_id('000000000009') if official is None else official
        assert fault.what == f'has the image_id {given!r}'
        assert fault.cure == f'the evaluator calls this image {right!r}'


@pytest.mark.parametrize(
    ('entry', 'words'),
    [
        (_with(1, id=5), 'segment 5: is listed twice'),
        (_with(id=0), 'segment 0: has an id outside 1 .. 16777215'),
        (_with(id=-4), 'segment -4: has an id outside 1 .. 16777215'),
        (_with(id=256**3), 'segment 16777216: has an id outside 1 .. 16777215'),
        (_with(iscrowd=1), 'segment 5: is a crowd'),
    ],
)
def test_segments_have_ids_of_their_own(entry, words):
    assert _told(panoptic_json.segments(entry, 'a')) == [f'panoptic.json, image a, {words}']


def test_a_stuff_class_has_one_segment():
    segments = [{'id': i, 'category_id': c} for i, c in ((1, SKY), (2, PERSON), (3, SKY), (4, PERSON))]
    found = panoptic_json.stuff({**ENTRY, 'segments_info': segments}, 'a', COCO)
    name = COCO.from_official[SKY].name
    assert _told(found) == [f'panoptic.json, image a: has 2 segments of the stuff class {name}']


def _using(spec, **by_name):
    named = {
        name: {**ENTRY, 'segments_info': [{'id': 1 + i, 'category_id': c} for i, c in enumerate(used)]}
        for name, used in by_name.items()
    }
    return panoptic_json.categories(named, spec)


def test_unknown_categories_are_told_image_by_image():
    found = _using(COCO, a=[PERSON, 201], b=[CAR], c=[12, 201])
    assert _told(found) == [
        'panoptic.json, image a: has the category 201, which coco_panoptic lacks',
        'panoptic.json, image c: has the category 12, which coco_panoptic lacks',
        'panoptic.json, image c: has the category 201, which coco_panoptic lacks',
    ]
    assert {fault.cure for fault in found} == {'the 133 official ids go from 1 to 200'}


def test_train_ids_are_told_once():
    (fault,) = _using(CITYSCAPES, a=[0, 13], b=[18])
    assert fault.what == 'has the category 0, and none above 18: these look like train ids'
    assert fault.cure == 'write official category ids (the 19 official ids go from 7 to 33)'


def test_a_file_without_segments_is_a_fault():
    empty = {**ENTRY, 'segments_info': []}
    assert _told(panoptic_json.content([empty, empty])) == ['panoptic.json: has no segment in any image']
    assert not panoptic_json.content([empty, ENTRY])
    assert not panoptic_json.content([])


@pytest.mark.parametrize(
    ('pixels', 'words'),
    [
        ({5: 3, 6: 1, 7: 2}, ['has 2 pixels of segment 7, which panoptic.json does not list']),
        ({5: 3}, ['has no pixel of segment 6, which panoptic.json lists']),
        ({5: 4, 6: 1}, ['has 4 pixels of segment 5, panoptic.json says 3']),
        (
            {0: 9, 7: 1},
            [
                'has 1 pixels of segment 7, which panoptic.json does not list',
                'has no pixel of segment 5, which panoptic.json lists',
                'has no pixel of segment 6, which panoptic.json lists',
            ],
        ),
    ],
)
def test_png_and_json_must_agree(pixels, words):
    found = panoptic_json.areas(pixels, ENTRY, 'panoptic/9.png')
    assert _told(found) == [f'panoptic/9.png: {word}' for word in words]
