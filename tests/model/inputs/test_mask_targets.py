# SPDX-License-Identifier: Apache-2.0
"""Targets of mask transformers against the reference's outputs and what they mean."""

import json

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st

import shared
import synthetic
from panpipe.model import labels
from panpipe.model.inputs import mask_targets

SMALL = synthetic.SMALL


@pytest.mark.parametrize('name', ['00_cityscapes_crowd', '01_coco_no_thing', '02_ade20k_many'])
def test_equals_reference(name):
    with np.load(shared.golden('kmax') / 'targets' / f'{name}.npz') as file:
        z = dict(file)
    args = json.loads(str(z['args_json']))
    spec = labels.LabelSpec(
        max(z['semantic'][z['semantic'] != args['ignore_label']].max(), *args['thing_class_ids']) + 1,
        tuple(args['thing_class_ids']),
        args['label_divisor'],
        args['ignore_label'],
    )
    found = mask_targets.targets(z['panoptic'], spec, max_things=args['max_thing_id'])
    np.testing.assert_array_equal(found.thing_id_mask, z['thing_id_mask'])
    np.testing.assert_array_equal(found.thing_id_class, z['thing_id_class'])
    np.testing.assert_array_equal(found.semantic_weight, z['semantic_loss_weight'])
    # The reference lets crowds keep their class, which these losses take for segments without a mask.
    np.testing.assert_array_equal(
        found.semantic, np.where(z['is_crowd'], args['ignore_label'], z['semantic'])
    )


@hypothesis.settings(max_examples=30, deadline=None)
@hypothesis.given(seed=st.integers(0, 2**31))
def test_masks_and_classes_make_up_the_map(seed):
    panoptic = synthetic.panoptic_map(np.random.default_rng(seed))
    found = mask_targets.targets(panoptic, SMALL, max_things=8)
    mask, classes = found.thing_id_mask.numpy(), found.thing_id_class.numpy()
    semantic, instance = SMALL.decode(panoptic)
    is_thing = np.isin(semantic, SMALL.thing_ids) & (instance > 0)
    np.testing.assert_array_equal(mask >= 0, is_thing)
    np.testing.assert_array_equal(classes[mask[is_thing]], semantic[is_thing])
    ids = [panoptic[mask == number][0] for number in range(mask.max() + 1)]
    assert len(set(ids)) == len(ids) == len(np.unique(panoptic[is_thing]))
    assert (classes[len(ids) :] == -1).all()
    first = [np.flatnonzero(mask == number)[0] for number in range(len(ids))]
    assert first == sorted(first)


def test_a_batch_is_its_images():
    rng = np.random.default_rng(1)
    panoptic = np.stack([synthetic.panoptic_map(rng) for _ in range(3)])
    batch = mask_targets.targets(panoptic, SMALL, small_instance_threshold=20, small_instance_weight=3.0)
    assert {1.0, 3.0} == set(np.unique(batch.semantic_weight))
    for number in range(3):
        alone = mask_targets.targets(
            panoptic[number], SMALL, small_instance_threshold=20, small_instance_weight=3.0
        )
        for mine, theirs in zip(batch[:4], alone[:4], strict=True):
            np.testing.assert_array_equal(mine[number], theirs, strict=True)


def test_the_smallest_things_beyond_the_limit_become_void():
    panoptic = np.array([[201, 202, 0, 203, 203, 203], [201, 0, 301, 301, 301, 301]], np.int32)
    found = mask_targets.targets(panoptic, SMALL, max_things=3)
    np.testing.assert_array_equal(found.thing_id_mask, [[0, -1, -1, 1, 1, 1], [0, -1, 2, 2, 2, 2]])
    np.testing.assert_array_equal(found.thing_id_class, [2, 2, 3])
    np.testing.assert_array_equal(found.semantic, [[2, 255, 0, 2, 2, 2], [2, 0, 3, 3, 3, 3]])
