# SPDX-License-Identifier: Apache-2.0
"""The sheet of the surest slots' masks."""

import numpy as np

from panpipe.model import datasets
from panpipe.model.drawing import sheet, slot_masks

SPEC = datasets.SPECS['cityscapes_panoptic']


def _claim(mask):
    photo = np.full((8, 16, 3), 120, np.uint8)
    return slot_masks._claim(photo, slot_masks.SlotMask(3, 13, 0.5, np.float32(mask)), SPEC)


def test_a_mask_is_tinted_in_the_colour_of_its_class_and_outlined():
    mask = np.zeros((8, 16))
    mask[:, 8:] = 1
    drawn = _claim(mask).astype(int)
    assert (drawn[:, 7] == 255).all()
    left, right = drawn[4, 0], drawn[4, 14]
    assert left.tolist() == [left[0]] * 3
    assert left[0] == 60
    color = np.array(SPEC.by_id[13].color)
    assert abs(right - (0.75 * color + 0.25 * 120 * (0.5 + 0.5 * 0.75))).max() <= 1


def test_a_sheet_has_a_panel_for_each_mask():
    image, panoptic = np.zeros((8, 16, 3), np.uint8), np.zeros((8, 16), np.int32)
    masks = [slot_masks.SlotMask(i, 13, 0.5, np.zeros((3, 5), np.float32)) for i in range(7)]
    few, many = (slot_masks.draw('title', image, panoptic, masks[:n], SPEC) for n in (2, 7))
    assert few.shape[1] == many.shape[1] == sheet.WIDTH
    assert many.shape[0] > 2 * few.shape[0]
