# SPDX-License-Identifier: Apache-2.0
"""Images find their predictions by the official id first, by their names else, and never two ways at once."""

import hypothesis
import pytest
from hypothesis import strategies as st

from panpipe.model import errors
from panpipe.pipelines.formats import cityscapes, coco
from panpipe.pipelines.predictions import joining

FEWER = hypothesis.settings(deadline=None, max_examples=50)


def _coco(**ids):
    return joining.Index('panoptic.json', ids, coco)


@pytest.mark.parametrize(
    ('ids', 'name', 'official_id', 'found'),
    [
        ({'000000000009': 9}, '000000000009', None, '000000000009'),
        ({'000000000009': 9}, '000000000009', 9, '000000000009'),
        ({'street': 9}, '000000000009', 9, 'street'),  # by the id of the annotation file
        ({'street': 9}, '000000000009', None, 'street'),  # by the id that the name stands for
        ({'street': 9}, 'street', None, 'street'),
        ({'street': None}, 'street', 9, 'street'),  # semantic files have no ids
        ({'batch/street': 3}, 'batch/street', None, 'batch/street'),
        ({'street': 'street'}, 'lane', None, None),
        ({'street': 8}, 'lane', 9, None),
        ({'9': 9}, '000000000009', None, '9'),
        ({}, 'street', 9, None),
    ],
)
def test_coco_images_are_found(ids, name, official_id, found):
    assert _coco(**ids).find(name, official_id) == found


@pytest.mark.parametrize(
    ('name', 'found'),
    [
        ('bonn_000001_000019', 'bonn_000001_000019'),
        ('bonn_000001_000019_leftImg8bit', 'bonn_000001_000019'),
        ('bonn/bonn_000001_000019', None),
        ('bonn_000002_000019', None),
    ],
)
def test_cityscapes_images_are_found_by_their_ids(name, found):
    ids = {'bonn_000001_000019': 'bonn_000001_000019'}
    assert joining.Index('panoptic.json', ids, cityscapes).find(name) == found


def test_an_id_of_one_and_a_name_of_another_is_told():
    index = _coco(street=9, lane=8)
    words = (
        '^panoptic.json: image_id 8 is that of lane, but the ground truth calls street so; predict from '
        'records, or from the data set with --split$'
    )
    with pytest.raises(errors.InputError, match=words):
        index.find('street', 8)
    assert index.find('street', 9) == 'street'


NAMES = st.lists(st.sampled_from(['a', 'b', 'c', '1', '000000000002']), unique=True)


@FEWER
@hypothesis.given(NAMES)
def test_every_prediction_is_found_by_its_own_name(names):
    index = _coco(**{name: coco.image_id(name) for name in names})
    assert [index.find(name) for name in names] == names


@FEWER
@hypothesis.given(NAMES, st.randoms())
def test_ids_that_are_told_find_their_predictions_whatever_their_names(names, random):
    ids = dict(zip(names, random.sample(range(100), len(names)), strict=True))
    index = _coco(**ids)
    assert [index.find(f'image {number}', number) for number in ids.values()] == names
