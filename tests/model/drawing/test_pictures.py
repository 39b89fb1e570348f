# SPDX-License-Identifier: Apache-2.0
import base64
import io

import numpy as np
import pytest
from PIL import Image

import synthetic
from panpipe.model import datasets
from panpipe.model.drawing import pictures

SPEC = datasets.SPECS['cityscapes_panoptic']
CAR, ROAD = 13, 0


def _boxes():
    panoptic = np.full((20, 30), SPEC.labels.encode(ROAD, 0), np.int32)
    panoptic[5:15, 2:12] = SPEC.labels.encode(CAR, 1)
    panoptic[5:15, 16:26] = SPEC.labels.encode(CAR, 2)
    panoptic[18:] = SPEC.labels.void
    return panoptic


def test_stuff_has_its_color_void_is_black_and_instances_differ():
    picture = pictures.panoptic_picture(_boxes(), SPEC)
    assert picture.dtype == np.uint8
    assert tuple(picture[2, 2]) == SPEC.by_id[ROAD].color
    assert tuple(picture[19, 0]) == (0, 0, 0)
    assert tuple(picture[10, 5]) != tuple(picture[10, 20])
    assert tuple(picture[14, 5]) == (255, 255, 255)


def test_outlines_are_the_last_pixels_of_segments():
    panoptic = np.array([[1, 1, 2], [1, 1, 2], [3, 3, 3]])
    expected = np.array([[0, 1, 0], [1, 1, 1], [0, 0, 0]], bool)
    np.testing.assert_array_equal(pictures.outlines(panoptic), expected)


@pytest.mark.parametrize('name', list(datasets.SPECS))
def test_any_map_of_any_data_set_can_be_drawn(name):
    spec = datasets.SPECS[name]
    panoptic = synthetic.panoptic_map(np.random.default_rng(0), spec.labels, 40, 60)
    assert pictures.panoptic_picture(panoptic, spec).shape == (40, 60, 3)


def test_fit_keeps_labels_and_aspect():
    panoptic = _boxes()
    small = pictures.fit(panoptic, 15, is_label=True)
    assert small.shape == (10, 15)
    assert set(np.unique(small)) <= set(np.unique(panoptic))
    assert pictures.fit(np.zeros((20, 30, 3), np.uint8), 15, is_label=False).shape == (10, 15, 3)
    assert pictures.fit(panoptic, 30, is_label=True) is panoptic


def test_data_uri_is_a_jpeg_of_that_size():
    uri = pictures.data_uri(pictures.panoptic_picture(_boxes(), SPEC))
    head, _, body = uri.partition(',')
    assert head == 'data:image/jpeg;base64'
    assert Image.open(io.BytesIO(base64.b64decode(body))).size == (30, 20)


def test_instances_have_the_colours_of_pascal():
    found = pictures.instance_colors(np.array([0, 1, 2, 3, 8, 255, 256]))
    assert found.tolist() == [
        [0, 0, 0],
        [128, 0, 0],
        [0, 128, 0],
        [128, 128, 0],
        [64, 0, 0],
        [224, 224, 192],
        [128, 0, 0],
    ]
