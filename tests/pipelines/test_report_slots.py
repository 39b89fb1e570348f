# SPDX-License-Identifier: Apache-2.0
"""The report's section on slots."""

import pathlib
import re

import numpy as np
import pytest
from PIL import Image

from panpipe.model import datasets, errors
from panpipe.model.metrics import result_files, slot_use
from panpipe.pipelines.reporting import slots

SPEC = datasets.SPECS['cityscapes_panoptic']
FOUND = slot_use.SlotResult(
    'cityscapes_panoptic',
    100,
    8,
    32,
    (
        slot_use.SlotFigures(4, {'car': 3, 'bus': 1}),
        slot_use.SlotFigures(9, {'road': 8}),
        slot_use.SlotFigures(1, {'car': 5}),
    ),
    (slot_use.Shown('street', '000000.png'),),
)


@pytest.fixture(name='folder')
def _folder(tmp_path) -> pathlib.Path:
    result_files.write_typed(tmp_path / slot_use.FILE, FOUND)
    Image.fromarray(np.zeros((4, 6, 3), np.uint8)).save(tmp_path / '000000.png')
    return tmp_path


def test_the_section_tells_counts_and_shows_pictures(folder):
    section = slots.read(folder, SPEC)
    assert section.told == ('3 of 32 slots hold a segment in any of 8 images; 2 of them only ever one class.')
    assert section.pictures['street'].startswith('data:image/jpeg')
    texts = re.findall('<text[^>]*>([^<]*)</text>', section.chart)
    # Columns in the order of classes, the most faithful slot first; rows of classes that occur.
    assert texts[:3] == ['9', '1', '4']
    assert [text for text in texts if text.isalpha() and text != 'slot'] == ['road', 'car', 'bus']
    assert sorted(text for text in texts[3:] if text.isdigit()) == ['1', '3', '5', '8']


def test_what_cannot_be_shown_is_refused(folder):
    assert slots.read(None, SPEC) is None
    with pytest.raises(errors.InputError, match='is of cityscapes_panoptic, but --dataset is coco_panoptic'):
        slots.read(folder, datasets.SPECS['coco_panoptic'])
    (folder / '000000.png').write_bytes(b'no picture')
    with pytest.raises(errors.InputError, match=r'000000\.png cannot be read'):
        slots.read(folder, SPEC)
    (folder / slot_use.FILE).unlink()
    with pytest.raises(errors.InputError):
        slots.read(folder, SPEC)


def test_no_slot_holds_anything():
    nothing = slot_use.SlotResult('cityscapes_panoptic', 0, 8, 32, (), ())
    assert slots.chart(nothing, SPEC) == ''
    assert slots.told(nothing).startswith('0 of 32 slots')
