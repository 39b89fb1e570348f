# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

import synthetic
from panpipe.model import datasets
from panpipe.model.drawing import overlays

SPEC = datasets.SPECS['cityscapes_panoptic']
CODEC = SPEC.labels
CAR, ROAD = 13, 0
HEIGHT, WIDTH = 120, 200


def _panoptic(*boxes):
    panoptic = np.full((HEIGHT, WIDTH), CODEC.encode(ROAD, 0), np.int32)
    for number, (top, left, bottom, right) in enumerate(boxes, 1):
        panoptic[top:bottom, left:right] = CODEC.encode(CAR, number)
    return panoptic


def _written(panoptic, names=None):
    """Counts black pixels: those of the plates that names stand on."""
    drawn = overlays.write_names(np.full((HEIGHT, WIDTH, 3), 128, np.uint8), panoptic, SPEC, names)
    return (drawn == 0).all(axis=2)


def test_the_image_shines_through_and_things_have_outlines():
    image = np.full((HEIGHT, WIDTH, 3), 100, np.uint8)
    drawn = overlays.picture(image, _panoptic((10, 10, 60, 90)), SPEC)
    road = np.array(SPEC.by_id[ROAD].color)
    np.testing.assert_allclose(drawn[100, 100], 55 + 0.45 * road, atol=1)
    assert drawn[59, 20].tolist() == [255, 255, 255]
    assert (image == 100).all()


def test_a_name_stands_in_the_middle_of_its_thing():
    plate = np.argwhere(_written(_panoptic((10, 10, 60, 90))))
    assert plate.mean(axis=0) == pytest.approx((35, 49.5), abs=3)
    longer = np.argwhere(_written(_panoptic((10, 10, 60, 90)), {CODEC.encode(CAR, 1): 'car 0.87'}))
    assert np.ptp(longer[:, 1]) > np.ptp(plate[:, 1])


@pytest.mark.parametrize('box', [(0, 0, 60, 12), (0, 190, 60, 200), (0, 50, 4, 90), (115, 50, 120, 90)])
def test_a_name_at_the_edge_is_moved_inside(box):
    moved, free = (np.argwhere(_written(_panoptic(place))) for place in (box, (10, 10, 60, 90)))
    np.testing.assert_allclose(np.ptp(moved, axis=0), np.ptp(free, axis=0), atol=2)  # corners are round


def test_of_names_that_touch_the_larger_things_stays():
    both = _written(_panoptic((10, 10, 60, 90), (30, 40, 40, 60)))
    assert both.sum() == _written(_panoptic((10, 10, 60, 90))).sum()
    apart = _written(_panoptic((10, 10, 60, 90), (70, 100, 110, 190)))
    assert apart.sum() > 1.6 * both.sum()


def test_small_things_stuff_and_crowds_have_no_name():
    crowd = _panoptic()
    crowd[:60] = CODEC.encode(CAR, 0)
    for panoptic in (_panoptic((10, 10, 12, 12)), _panoptic(), crowd):
        assert not _written(panoptic).any()


@pytest.mark.parametrize('name', list(datasets.SPECS))
def test_any_map_of_any_data_set_can_be_drawn(name):
    spec = datasets.SPECS[name]
    for seed in range(5):
        panoptic = synthetic.panoptic_map(np.random.default_rng(seed), spec.labels, 40, 60)
        assert overlays.picture(np.zeros((40, 60, 3), np.uint8), panoptic, spec).shape == (40, 60, 3)
