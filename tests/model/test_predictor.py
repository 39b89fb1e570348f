# SPDX-License-Identifier: Apache-2.0
"""What Python programs get of an exported model; `test_export.py` has a real one."""

import numpy as np
import pytest

import synthetic
from panpipe.model import datasets, errors, predictor

SPEC = datasets.SPECS['cityscapes_panoptic']


@pytest.fixture
def prediction():
    rng = np.random.default_rng(4)
    panoptic = synthetic.panoptic_map(rng, SPEC.labels, 60, 90, crowd=False)
    things = [int(i) for i in np.unique(panoptic) if i // 1000 in SPEC.labels.thing_ids]
    image = rng.integers(0, 256, (60, 90, 3), np.uint8)
    scores = {i: 1 / (1 + rank) for rank, i in enumerate(things)}
    return predictor.Prediction(image, panoptic, panoptic // 1000, scores, SPEC)


def test_segments_partition_what_is_not_void(prediction):
    taken = np.zeros(prediction.panoptic.shape, int)
    for segment in prediction.segments:
        mask = prediction.mask(segment)
        top, left, bottom, right = segment.box
        assert mask.sum() == mask[top:bottom, left:right].sum() == segment.area
        rows, columns = np.nonzero(mask)
        assert (rows.min(), columns.min(), rows.max() + 1, columns.max() + 1) == segment.box
        assert (segment.score is None) == (not segment.category.is_thing)
        taken += mask
    np.testing.assert_array_equal(taken, prediction.panoptic // 1000 != SPEC.labels.ignore_label)
    areas = [segment.area for segment in prediction.segments]
    assert areas == sorted(areas, reverse=True)


def test_the_picture_has_the_size_of_the_image_and_shows_the_segments(prediction):
    drawn = prediction.draw()
    assert (drawn.dtype, drawn.shape) == (np.uint8, prediction.image.shape)
    assert (drawn != prediction.image).any()


def test_an_image_of_another_form_is_refused():
    model = predictor.Predictor(SPEC, True, None)
    with pytest.raises(ValueError, match=r'float64 \[4, 5, 3\]; it must be uint8'):
        model(np.zeros((4, 5, 3)))


def test_a_folder_without_a_model_is_refused(tmp_path):
    with pytest.raises(errors.InputError, match=r'holds no saved_model\.pb; make one with `panpipe export`'):
        predictor.Predictor.open(tmp_path)
