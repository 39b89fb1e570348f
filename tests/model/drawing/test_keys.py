# SPDX-License-Identifier: Apache-2.0
import dataclasses

import numpy as np

from panpipe.model import datasets
from panpipe.model.drawing import error_maps, keys, panels

SPEC = datasets.SPECS['cityscapes_panoptic']
CODEC = SPEC.labels
CAR, PERSON, ROAD = 13, 11, 0


def _panoptic():
    panoptic = np.full((10, 10), CODEC.encode(ROAD, 0), np.int32)
    panoptic[0] = CODEC.encode(CAR, 1)
    panoptic[1] = CODEC.encode(CAR, 2)
    panoptic[2] = CODEC.encode(CAR, 0)
    panoptic[3, :5] = CODEC.encode(PERSON, 1)
    panoptic[4] = CODEC.void
    return panoptic


def test_classes_are_listed_by_size_with_what_they_count():
    found = keys.classes(_panoptic(), SPEC)
    assert [(entry.text, entry.note) for entry in found.entries] == [
        ('road', '55.0 %'),
        ('car', '30.0 %, 2 instances, a crowd'),
        ('void', '10.0 %'),
        ('person', '5.0 %, 1 instance'),
    ]
    assert found.entries[1].swatch == SPEC.by_id[CAR].color
    assert found.entries[2].swatch == (0, 0, 0)


def test_a_class_that_the_data_set_lacks_is_doubtful():
    (entry,) = keys.classes(np.full((2, 2), 77 * CODEC.label_divisor), SPEC).entries
    assert entry.text == '77?'


def test_things_are_listed_by_score_and_then_by_size():
    first, second = CODEC.encode(CAR, 1), CODEC.encode(PERSON, 1)
    found = keys.segments(_panoptic(), {first: 0.5, second: 0.75}, SPEC)
    assert found.heading == 'Things: 4'
    assert [(entry.text, entry.note) for entry in found.entries] == [
        ('person 1', 'score 0.75, 5.0 %'),
        ('car 1', 'score 0.50, 10.0 %'),
        ('car 0', '10.0 %'),
        ('car 2', '10.0 %'),
    ]


def test_a_long_list_of_things_is_cut():
    panoptic = np.array([[CODEC.encode(CAR, number) for number in range(1, 101)]])
    found = keys.segments(panoptic, {}, SPEC)
    assert len(found.entries) == 60
    assert found.heading == 'Things: 100, of which 40 are not listed'


def test_every_colour_is_explained():
    assert [entry.text for entry in keys.uses().entries] == list(panels.USE_NAMES.values())
    assert len(keys.errors().entries) == len(error_maps.Error) - 1
    for entry in keys.targets().entries:
        assert isinstance(entry.swatch, np.ndarray)
        assert entry.swatch.dtype == np.uint8


def test_names_are_those_of_the_data_set():
    renamed = dataclasses.replace(SPEC.by_id[CAR], name='auto')
    categories = tuple(renamed if c.id == CAR else c for c in SPEC.categories)
    spec = dataclasses.replace(SPEC, categories=categories)
    assert keys.classes(_panoptic(), spec).entries[1].text == 'auto'
