# SPDX-License-Identifier: Apache-2.0
"""Counts of what slots hold."""

import numpy as np

from panpipe.model import labels
from panpipe.model.metrics import result_files, slot_use

SPEC = labels.LabelSpec(num_classes=4, thing_ids=(2, 3), label_divisor=100, ignore_label=255)
NAMES = ['road', 'sky', 'car', 'bus']


def _image(panoptic, instance, label=(0, 2, 2), number=(3, 1, 2)):
    maps = (np.array([each], np.int32) for each in (panoptic, instance))
    return slot_use.SlotUse.of_image(*maps, np.array(label), np.array(number), SPEC)


def test_a_slot_holds_what_its_number_says_and_void_is_nobody_s():
    use = _image(panoptic=[0, 201, 25500, 25500], instance=[3, 1, 2, 1])
    assert use.num_images == 1
    assert use.images.tolist() == [[1, 0, 0, 0], [0, 0, 1, 0], [0, 0, 0, 0]]
    assert [(one.slot, dict(one.images)) for one in use.figures(NAMES)] == [(0, {'road': 1}), (1, {'car': 1})]


def test_counts_add_up():
    one = _image([0, 201], [3, 1])
    other = _image([0, 301], [3, 2], label=(0, 2, 3))
    both = one + other
    assert both.num_images == 2
    assert [(each.slot, dict(each.images)) for each in both.figures(NAMES)] == [
        (0, {'road': 2}),
        (1, {'car': 1}),
        (2, {'bus': 1}),
    ]
    nothing = slot_use.SlotUse.zero(3, 4)
    np.testing.assert_array_equal((nothing + one).images, one.images)


def test_the_file_reads_back(tmp_path):
    told = slot_use.SlotResult('d', 5, 1, 3, _image([0], [3]).figures(NAMES), (slot_use.Shown('a', 'a.png'),))
    result_files.write_typed(tmp_path / slot_use.FILE, told)
    assert result_files.read_typed(slot_use.SlotResult, tmp_path / slot_use.FILE, 'train') == told
