# SPDX-License-Identifier: Apache-2.0
"""The truth of an image in rows, against a count in numpy."""

import numpy as np
import pytest
import tensorflow as tf

import synthetic
from panpipe.model import tensors
from panpipe.model.losses import truths

LABELS = synthetic.SMALL  # things 2, 3 and 5 of six classes
SEMANTIC = np.array([[0, 0, 2, 2], [1, 255, 2, 4], [3, 3, 255, 7], [3, 2, 2, 0]], np.int32)
THING = np.array([[-1, -1, 0, 0], [-1, -1, 0, -1], [1, 1, -1, -1], [1, 2, 2, -1]], np.int32)
CLASSES = np.array([2, 3, 2, -1], np.int32)  # room for four things
ROWS = np.array([[4, 4, 0, 0], [5, -1, 0, 6], [1, 1, -1, -1], [1, 2, 2, 4]], np.int32)


def _targets(semantic=SEMANTIC, thing=THING):
    ones = tf.ones_like(semantic, tf.float32)[None]
    named = {'semantic': semantic, 'thing_id_mask': thing, 'thing_id_class': CLASSES}
    batch = {name: tf.constant(value)[None] for name, value in named.items()}
    fields = tensors.MaskTargets._fields
    return tensors.MaskTargets(**{name: batch.get(name, ones) for name in fields})


def test_things_come_first_then_stuff():
    found = truths.truths(_targets(), LABELS, 4, 4)
    np.testing.assert_array_equal(found.row[0], ROWS.ravel())
    np.testing.assert_array_equal(found.is_valid[0], (SEMANTIC != 255).ravel())
    np.testing.assert_array_equal(found.area[0], [(row == ROWS).sum() for row in range(7)])
    # Channels: things 2, 3, 5, then stuff 0, 1, 4, then void.
    np.testing.assert_array_equal(found.channel[0], [0, 1, 0, 6, 3, 4, 5])
    np.testing.assert_array_equal(found.masks[0], ROWS.ravel()[:, None] == np.arange(7))
    area = [0 if row < 0 else (row == ROWS).sum() for row in ROWS.ravel()]
    np.testing.assert_array_equal(found.area_of_pixel[0], area)


def test_the_largest_rows_stay_and_the_others_become_void():
    found = truths.truths(_targets(), LABELS, 4, 4)
    assert found.largest(7) is found
    kept = found.largest(3)  # rows 0, 1 and 4 have three pixels each
    np.testing.assert_array_equal(kept.area[0], [3, 3, 0, 0, 3, 0, 0])
    lost = np.isin(ROWS.ravel(), (2, 5, 6))
    np.testing.assert_array_equal(kept.row[0], np.where(lost, -1, ROWS.ravel()))
    np.testing.assert_array_equal(kept.is_valid[0], (SEMANTIC != 255).ravel() & ~lost)


def test_every_fourth_pixel_is_taken_for_masks_of_stride_4():
    maps = np.arange(9 * 13).reshape(1, 9, 13)
    np.testing.assert_array_equal(truths.at_stride(maps, 3, 4), maps[:, ::4, ::4])
    np.testing.assert_array_equal(truths.at_stride(maps, 9, 13), maps)
    with pytest.raises(ValueError, match='targets of 9 x 13 do not fit logits of 3 x 3; set both sides of'):
        truths.at_stride(maps, 3, 3)
