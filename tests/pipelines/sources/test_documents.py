# SPDX-License-Identifier: Apache-2.0
"""Panoptic JSON files of the COCO form are typed as their text says, whatever fields they leave out."""

import json

import hypothesis
import pytest
from hypothesis import strategies as st

from panpipe.model import errors, labels
from panpipe.pipelines.sources import documents

SEGMENT = {'id': 3, 'category_id': 1, 'area': 5, 'iscrowd': 1}
ENTRY = {'image_id': 9, 'file_name': 'a/9.png', 'segments_info': [SEGMENT]}


def _write(tmp_path, **content):
    path = tmp_path / 'panoptic.json'
    path.write_text(json.dumps(content))
    return str(path)


def _read(tmp_path, annotations=(ENTRY,), has_areas=True, **more):
    return documents.read(_write(tmp_path, annotations=list(annotations), **more), has_areas=has_areas)


def _segments(*changes):
    return [{**ENTRY, 'segments_info': [{**SEGMENT, **each} for each in changes]}]


def test_a_whole_file(tmp_path):
    found = _read(
        tmp_path,
        images=[{'id': 9, 'file_name': 'a/9.jpg', 'height': 2, 'width': 3}],
        categories=[{'id': 1, 'name': 'person', 'isthing': 1}],
    )
    annotation = documents.Annotation(9, 'a/9.png', (labels.Segment(3, 1, 5, True),))
    assert found == documents.Document(
        str(tmp_path / 'panoptic.json'),
        (annotation,),
        {9: documents.Picture('a/9.jpg', (2, 3))},
        {1: documents.Category(1, 'person', True)},
    )
    assert found.image_name(annotation) == 'a/9.jpg'


def test_what_a_file_may_leave_out(tmp_path):
    entry = {'file_name': 'a/9.png', 'segments_info': [{'id': 3, 'category_id': 1}]}
    found = _read(tmp_path, [entry], has_areas=False, categories=[{'id': 1}], images=None)
    (annotation,) = found.annotations
    assert annotation == documents.Annotation('9', 'a/9.png', (labels.Segment(3, 1, -1, False),))
    assert found.images == {}
    assert found.categories == {1: documents.Category(1, None, None)}
    assert found.image_name(annotation) == 'a/9.png'


def test_a_size_needs_both_sides(tmp_path):
    found = _read(tmp_path, images=[{'id': 9, 'file_name': '9.jpg', 'height': 2}])
    assert found.images == {9: documents.Picture('9.jpg')}


NUMBERS = st.integers(1, 256**3 - 1)
SEGMENTS = st.lists(
    st.builds(labels.Segment, NUMBERS, st.integers(0, 200), st.integers(0, 10**6), st.booleans()),
    max_size=3,
    unique_by=lambda segment: segment.id,
)
ANNOTATIONS = st.lists(
    st.builds(
        documents.Annotation,
        st.integers(0, 99) | st.sampled_from(['a', 'b']),
        st.sampled_from(['1.png', 'x/2.png']),
        SEGMENTS.map(tuple),
    ),
    max_size=4,
    unique_by=lambda annotation: annotation.image_id,
)


def _told(annotation):
    segments = [
        {'id': s.id, 'category_id': s.category_id, 'area': s.area, 'iscrowd': int(s.is_crowd)}
        for s in annotation.segments
    ]
    return {'image_id': annotation.image_id, 'file_name': annotation.file_name, 'segments_info': segments}


@hypothesis.settings(deadline=None, max_examples=50)
@hypothesis.given(given=ANNOTATIONS)
def test_annotations_come_back_in_their_order(tmp_path_factory, given):
    path = _write(tmp_path_factory.mktemp('a'), annotations=[_told(annotation) for annotation in given])
    assert documents.read(path).annotations == tuple(given)


@pytest.mark.parametrize(
    ('annotations', 'words'),
    [
        ([ENTRY, ENTRY], 'lists the image 9 twice; keep one annotation of it$'),
        (_segments({}, {}), ', image 9: segment 3 is listed twice; correct the file$'),
        (_segments({'id': 0}), ', image 9: segment 0 has an id outside 1 .. 16777215; correct the file$'),
        (_segments({'id': 256**3}), 'segment 16777216 has an id outside 1 .. 16777215'),
        (_segments({'area': None}), 'area of the segment .* must be a number from 0 on'),
        (_segments({'area': -1}), 'area of the segment .* must be a number from 0 on'),
        (_segments({'category_id': 'person'}), 'category_id of the segment .* must be a whole number'),
        (_segments({'iscrowd': 2}), 'iscrowd of the segment .* must be 0 or 1'),
        ([{'image_id': 9, 'segments_info': []}], 'the annotation .* has no file_name; add it$'),
        (
            [{'image_id': 9, 'file_name': '9.png'}],
            ', image 9: the annotation .* has no segments_info; add it$',
        ),
        ([{**ENTRY, 'image_id': None}], 'image_id of the annotation .* must be .* a text'),
        ([{**ENTRY, 'segments_info': {}}], 'segments_info of the annotation .* must be a list'),
        ([{**ENTRY, 'segments_info': [3]}], ', image 9: the segment 3 must be an object'),
        (['9.png'], 'the annotation "9.png" must be an object'),
    ],
)
def test_wrong_annotations_are_told(annotations, words, tmp_path):
    with pytest.raises(errors.InputError, match=words) as caught:
        _read(tmp_path, annotations)
    assert str(caught.value).startswith(str(tmp_path / 'panoptic.json'))
    assert '\n' not in str(caught.value)


@pytest.mark.parametrize(
    ('content', 'words'),
    [
        ({'images': [{'id': 9}]}, 'the image {"id": 9} has no file_name; add it'),
        ({'images': [{'file_name': '9.jpg'}]}, 'the image .* has no id; add it'),
        ({'images': {}}, 'images of the file .* must be a list'),
        (
            {'images': [{'id': 9, 'file_name': '9.jpg', 'height': 2, 'width': '3'}]},
            'width of the image .* must be a number',
        ),
        (
            {'images': [{'id': 9, 'file_name': 'a.jpg'}, {'id': 9, 'file_name': 'b.jpg'}]},
            'lists the image 9 twice in images; keep one entry$',
        ),
        ({'categories': [{'id': 1}, {'id': 2}, {'id': 1}]}, 'lists the category 1 twice; keep one$'),
        ({'categories': [{'id': '1'}]}, 'id of the category .* must be a whole number'),
        ({'categories': [{'id': 1, 'isthing': 'yes'}]}, 'isthing of the category .* must be 0 or 1'),
        ({'categories': [{'id': 1, 'name': ''}]}, 'name of the category .* must be a text'),
    ],
)
def test_wrong_lists_beside_them_are_told(content, words, tmp_path):
    with pytest.raises(errors.InputError, match=words):
        _read(tmp_path, **content)


def test_areas_are_needed_of_ground_truth_alone(tmp_path):
    entry = {**ENTRY, 'segments_info': [{'id': 3, 'category_id': 1}]}
    with pytest.raises(errors.InputError, match=r', image 9: the segment .* has no area; add it$'):
        _read(tmp_path, [entry])
    assert _read(tmp_path, [entry], has_areas=False).annotations[0].segments[0].area == -1


def test_a_wrong_area_is_told_of_predictions_too(tmp_path):
    with pytest.raises(errors.InputError, match=r'area of the segment .* must be a number'):
        _read(tmp_path, _segments({'area': 'large'}), has_areas=False)


def test_images_are_read_alone(tmp_path):
    path = _write(tmp_path, images=[{'id': 9, 'file_name': '9.jpg'}], annotations=[{'bbox': []}])
    assert documents.read_images(path) == {9: documents.Picture('9.jpg')}


def test_names_of_pngs_stand_for_those_of_images(tmp_path):
    path = _write(tmp_path, annotations=[ENTRY, {'image_id': 10}])
    assert documents.read_images(path) == {9: documents.Picture('a/9.png')}
    assert documents.read_images(_write(tmp_path, images=[])) == {}
    assert documents.read_images(_write(tmp_path, info={})) == {}
