# SPDX-License-Identifier: Apache-2.0
"""What an evaluation leaves of slots."""

import types

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from panpipe.model import datasets, tensors
from panpipe.model.drawing import sheet
from panpipe.model.metrics import result_files, slot_use
from panpipe.model.postprocess import slots, surest_slots
from panpipe.model.training import evaluator, run_folder, slot_watch

SPEC = datasets.SPECS['cityscapes_panoptic']
DIVISOR = SPEC.labels.label_divisor


def _seen(label):
    """A sample of 9 x 17 in an input of 13 x 21: slot 2 holds the left as number 1, slot 0 the right as 2."""
    sample = types.SimpleNamespace(
        raw=types.SimpleNamespace(image=np.zeros((9, 17, 3), np.uint8), image_id=np.array(b'street')),
        image=tf.zeros((1, 13, 21, 3)),
        resized=(9, 17),
    )
    panoptic = np.zeros((1, 9, 17), np.int32)
    panoptic[..., 8:] = label * DIVISOR + 2
    instance = np.where(panoptic > 0, 2, 1).astype(np.int32)
    maps = (tf.constant(each) for each in (panoptic, panoptic // DIVISOR, instance))
    found = slots.Slots(*map(tf.constant, ([[label, 5, 0]], [[0.9, 0.1, 0.8]], [[2, 3, 1]])))
    logits = np.zeros((1, 4, 6, 3), np.float32)
    logits[0, :, :3, 2] = logits[0, :, 3:, 0] = 9
    masks = evaluator.Masks(found, surest_slots.find(found, tf.constant(logits), 10))
    prediction = tensors.Prediction(*maps, tf.ones((1, 9, 17)))
    return sample, evaluator.Found(prediction, None, None, masks)


@pytest.fixture(name='run')
def _run(tmp_path):
    return run_folder.RunDirectory(str(tmp_path), 'run')


def test_counts_and_pictures(run, tmp_path):
    watch = slot_watch.SlotWatch(run, SPEC, num_shown=1, step=7)
    for number, label in enumerate((13, 13, 11)):
        watch(number, *_seen(label))
    watch.write()
    folder = tmp_path / 'run' / 'slots'
    told = result_files.read_typed(slot_use.SlotResult, folder / slot_use.FILE, 'train')
    assert (told.dataset, told.step, told.num_images, told.num_slots) == (SPEC.name, 7, 3, 3)
    assert [(one.slot, dict(one.images)) for one in told.slots] == [
        (0, {'person': 1, 'car': 2}),
        (2, {'road': 3}),
    ]
    assert told.pictures == (slot_use.Shown('street', '000000.png'),)
    assert Image.open(folder / '000000.png').width == sheet.WIDTH
    assert not (folder / '000001.png').exists()


def test_masks_lose_the_padding():
    masks = slot_watch._masks(*_seen(13))
    assert [one.slot for one in masks] == [0, 2, 1]
    assert [one.label for one in masks] == [13, 0, 5]
    assert all(one.mask.shape == (9, 17) for one in masks)
    assert masks[1].mask[4, 0] > 0.99
    assert masks[0].mask[4, 16] > 0.99


def test_a_network_without_slots_leaves_nothing(run, tmp_path):
    watch = slot_watch.SlotWatch(run, SPEC, num_shown=1, step=7)
    sample, found = _seen(13)
    watch(0, sample, found._replace(masks=None))
    watch.write()
    assert not (tmp_path / 'run').exists()
