# SPDX-License-Identifier: Apache-2.0
"""Average precision against the reference's outputs, and its own laws."""

import doctest
import functools
import json
import math
import operator

import numpy as np
import pytest

import shared
from panpipe.model import labels
from panpipe.model.metrics import average_precision

SPEC = labels.LabelSpec(num_classes=4, thing_ids=(1, 3), label_divisor=10, ignore_label=9)
TRUTH = np.array([[11, 11, 12, 12], [11, 11, 12, 12], [30, 30, 31, 31], [0, 0, 90, 90]])
FILES = ('00_cs_perfect', '01_cs_mild', '04_coco_mild', '06_cs_crowd')


def _gathered(truth, prediction, scores):
    return average_precision.AveragePrecision.from_maps(truth, prediction, scores, SPEC)


def test_examples():
    assert doctest.testmod(average_precision).failed == 0


@pytest.mark.parametrize('name', FILES)
def test_equals_the_reference(name):
    facts = np.load(shared.golden('metrics') / f'{name}.npz')
    given = json.loads(str(facts['args_json']))
    spec = labels.LabelSpec(
        given['num_classes'], tuple(given['things_list']), given['label_divisor'], given['ignored_label']
    )
    probability = facts['semantic_probability'].astype(np.float32)
    total = average_precision.AveragePrecision()
    for truth, prediction, sure, center in zip(
        facts['gt_panoptic'], facts['pred_panoptic'], probability, facts['instance_score_map'], strict=True
    ):
        scores = {
            int(i): float(
                sure[prediction == i, i // spec.label_divisor].mean() * center[prediction == i].mean()
            )
            for i in np.unique(prediction)
            if i // spec.label_divisor in spec.thing_ids
        }
        total += average_precision.AveragePrecision.from_maps(truth, prediction, scores, spec)
    expected = np.where(facts['ap_result'] == -1, np.nan, facts['ap_result'])
    np.testing.assert_allclose(list(total.result().values()), expected, atol=1e-7)


def test_a_wrong_instance_that_is_surer_costs_precision():
    scores = {11: 0.9, 12: 0.8, 31: 0.7}
    assert _gathered(TRUTH, TRUTH, scores).result()['AP_Mask'] == 1
    invented = np.where(TRUTH == 0, 13, TRUTH)
    unsure = _gathered(TRUTH, invented, {**scores, 13: 0.1}).result()['AP_Mask']
    sure = _gathered(TRUTH, invented, {**scores, 13: 1.0}).result()['AP_Mask']
    assert unsure == 1
    assert sure == pytest.approx((2 / 3 + 1) / 2, abs=0.01)  # class 1 at 2 of 3, class 3 untouched


def test_what_lies_in_a_crowd_is_neither_right_nor_wrong():
    found = np.where(TRUTH == 30, 32, TRUTH)
    assert _gathered(TRUTH, found, {11: 0.9, 12: 0.8, 31: 0.7, 32: 1.0}).result()['AP_Mask'] == 1


def test_order_and_grouping_of_images_change_nothing():
    images = [
        _gathered(np.roll(TRUTH, i, 1), TRUTH, {11: 0.9 - i / 10, 12: 0.5 - i / 100, 31: 0.3 - i / 10})
        for i in range(3)
    ]
    expected = functools.reduce(operator.add, images).result()
    assert functools.reduce(operator.add, reversed(images)).result() == pytest.approx(expected, nan_ok=True)
    assert (images[0] + (images[1] + images[2])).images == (images[0] + images[1] + images[2]).images


def test_nothing_found_is_0_and_nothing_to_find_is_undefined():
    missed = _gathered(TRUTH, TRUTH * 0, {}).result()
    wrong = _gathered(TRUTH, np.where(TRUTH == 0, 13, 0), {13: 0.5}).result()
    assert missed == pytest.approx(wrong, nan_ok=True)
    assert (missed['AP_Mask'], missed['AP_Mask_small']) == (0.0, 0.0)
    assert math.isnan(missed['AP_Mask_large'])  # no thing is large
    crowd = np.where(TRUTH // 10 == 3, 30, 0)
    assert all(map(math.isnan, _gathered(crowd, TRUTH * 0, {}).result().values()))
    empty = _gathered(TRUTH * 0, TRUTH * 0, {}).result()
    assert tuple(empty) == average_precision.NAMES
    assert all(map(math.isnan, empty.values()))


def test_refuses_maps_of_different_sizes():
    with pytest.raises(ValueError, match='must agree'):
        _gathered(TRUTH, TRUTH[:2], {})
