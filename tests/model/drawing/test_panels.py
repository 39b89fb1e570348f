# SPDX-License-Identifier: Apache-2.0
"""Pictures of targets, made from the very targets that training computes."""

import numpy as np
import pytest

from panpipe.model import config, datasets
from panpipe.model.drawing import panels
from panpipe.model.inputs import previews

SPEC = datasets.SPECS['cityscapes_panoptic']
HEIGHT, WIDTH = 40, 60
CAR, PERSON, ROAD = 13, 11, 0
PLACES = {panels.Use.THING: (10, 10), panels.Use.SMALL: (3, 50), panels.Use.CROWD: (30, 50),
          panels.Use.VOID: (38, 5), panels.Use.STUFF: (30, 10)}  # fmt: skip


def _panoptic():
    panoptic = np.full((HEIGHT, WIDTH), SPEC.labels.encode(ROAD, 0), np.int32)
    panoptic[5:20, 5:25] = SPEC.labels.encode(CAR, 1)
    panoptic[1:6, 48:53] = SPEC.labels.encode(PERSON, 1)
    panoptic[25:35, 40:] = SPEC.labels.encode(PERSON, 0)
    panoptic[36:] = SPEC.labels.void
    return panoptic


@pytest.fixture(scope='module')
def targets():
    options = config.DatasetOptions(increase_small_instance_weights=True, small_instance_threshold=100)
    return previews.targets(_panoptic(), SPEC, options)


def _image():
    return np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3)).astype(np.uint8)


def test_uses_tell_what_the_weights_say(targets):
    found = panels.uses(targets, SPEC.labels.ignore_label)
    assert {use: int(found[place]) for use, place in PLACES.items()} == {use: int(use) for use in PLACES}


def test_one_peak_an_instance(targets):
    assert panels.peaks(targets.center).tolist() == [[3, 50], [12, 14]]


def test_the_longest_offset_is_that_of_a_corner(targets):
    reach = panels.longest(targets.offset, targets.offset_weight > 0)
    assert reach == pytest.approx(np.hypot(7, 10), abs=0.8)
    assert panels.longest(targets.offset, np.zeros((HEIGHT, WIDTH), bool)) == 0


def test_four_pictures_of_one_size(targets):
    size = 80, 120
    drawn = panels.of_targets(_image(), targets, SPEC, size)
    assert [panel.caption for panel in drawn] == [
        'classes',
        'centers: 2',
        'offsets: up to 12 px',
        'where the losses look',
    ]
    for panel in drawn:
        assert panel.picture.shape == (*size, 3)
        assert panel.picture.dtype == np.uint8
    classes, centers, offsets, uses = (panel.picture for panel in drawn)
    assert tuple(classes[20, 20]) == SPEC.by_id[CAR].color
    assert tuple(classes[78, 10]) == tuple(uses[78, 10]) == (0, 0, 0)
    # The dot of a center is white; where there is no thing the image is grey.
    assert centers[25, 29].min() > 250
    grey = offsets[60, 20]
    assert grey[0] == grey[1] == grey[2]


def test_heat_grows_from_the_image_to_white():
    image = np.full((9, 9, 3), 200, np.uint8)
    center = np.zeros((9, 9), np.float32)
    center[4, 4] = 5.0  # a network may say more than 1
    drawn = panels.heat(image, center, np.empty((0, 2)), (9, 9))
    assert drawn[0, 0].tolist() == [90, 90, 90]
    assert drawn[4, 4].tolist() == [255, 255, 235]
    nothing = panels.heat(image, np.full((9, 9), -1.0, np.float32), np.empty((0, 2)), (9, 9))
    assert np.unique(nothing).tolist() == [90]


@pytest.mark.parametrize('size', [(4, 9), (7, 20), (3, 30)])
def test_a_narrow_peak_stays_when_the_picture_shrinks(size):
    center = np.zeros((20, 20), np.float32)
    center[13, 9] = 1.0
    drawn = panels.heat(np.zeros((20, 20, 3), np.uint8), center, np.empty((0, 2)), size)
    place = np.argwhere(drawn[..., 0] == drawn[..., 0].max()).mean(axis=0)
    assert drawn.max() > 200
    np.testing.assert_allclose((place + 0.5) / size, (13.5 / 20, 9.5 / 20), atol=0.2)


def test_dots_may_lie_at_the_edge():
    ground = np.zeros((20, 20, 3), np.uint8)
    drawn = panels.dots(ground, [(0, 0), (19, 19), (10, 5)], (1.0, 1.0))
    for y, x in ((0, 0), (19, 19), (10, 5)):
        assert drawn[y, x].min() > 250
    assert not ground.any()
    zoomed = panels.dots(np.zeros((40, 20, 3), np.uint8), [(10, 5)], (2.0, 1.0))
    assert zoomed[20:22, 5].min() > 200


@pytest.mark.parametrize(
    ('given', 'expected'), [((10, 20, (30, 30)), (15, 30)), ((20, 10, (30, 30)), (30, 15))]
)
def test_fitted_keeps_the_shape(given, expected):
    assert panels.fitted(*given) == expected


def test_every_use_has_a_colour_and_a_name():
    assert len(panels.USE_COLORS) == len(panels.Use) == len(panels.USE_NAMES)
