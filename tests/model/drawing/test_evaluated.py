# SPDX-License-Identifier: Apache-2.0
"""Pictures of an evaluated sample."""

import numpy as np
import pytest

from panpipe.model import config, datasets, tensors
from panpipe.model.drawing import error_maps, evaluated
from panpipe.model.drawing.evaluated import Kind
from panpipe.model.inputs import previews

SPEC = datasets.SPECS['cityscapes_panoptic']
CODEC = SPEC.labels
CAR, ROAD, SKY = 13, 0, 10
HEIGHT, WIDTH = 32, 48


def _truth():
    panoptic = np.full((HEIGHT, WIDTH), CODEC.encode(ROAD, 0), np.int32)
    panoptic[4:20, 4:20] = CODEC.encode(CAR, 1)
    panoptic[4:20, 20:30] = CODEC.encode(CAR, 2)
    panoptic[28:] = CODEC.void
    return panoptic


def _perfect():
    """The truth as a prediction, void as sky, seen by the network at half the size."""
    truth = _truth()
    panoptic = np.where(truth == CODEC.void, CODEC.encode(SKY, 0), truth).astype(np.int32)
    semantic, instance = CODEC.decode(panoptic)
    prediction = tensors.Prediction(panoptic, semantic, instance, np.ones(truth.shape, np.float32))
    targets = previews.targets(truth[::2, ::2], SPEC, config.DatasetOptions(sigma=2))
    points = np.argwhere(targets.center == 1)
    said = evaluated.Instances(targets.center, points, targets.offset, targets)
    image = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3)).astype(np.uint8)
    return evaluated.Evaluated(image, truth, prediction, said)


@pytest.mark.parametrize('size', [(HEIGHT, WIDTH), (16, 24), (40, 60)])
def test_a_perfect_prediction_looks_like_the_truth(size):
    drawn = evaluated.draw(_perfect(), SPEC, size)
    assert set(drawn) == set(Kind)
    for kind, picture in drawn.items():
        assert picture.dtype == np.uint8
        assert picture.shape == (size if kind is Kind.SEMANTIC_ERROR else (*size, 3))
    assert not drawn[Kind.SEMANTIC_ERROR].any()
    inside = slice(0, size[0] * 26 // 32)
    for kind, label in (
        (Kind.SEMANTIC_PREDICTION, Kind.SEMANTIC_LABEL),
        (Kind.PANOPTIC_PREDICTION, Kind.PANOPTIC_LABEL),
        (Kind.CENTER_PREDICTION, Kind.CENTER_LABEL),
        (Kind.OFFSET_PREDICTION, Kind.OFFSET_LABEL),
    ):
        np.testing.assert_array_equal(drawn[kind][inside], drawn[label][inside], err_msg=kind)
    assert len(np.unique(drawn[Kind.INSTANCE_PREDICTION].reshape(-1, 3), axis=0)) == 3


def test_errors_are_marked_outside_void_alone():
    seen = _perfect()
    semantic = np.full((HEIGHT, WIDTH), SKY, np.int32)
    wrong = seen.prediction._replace(panoptic=CODEC.encode(semantic, 0), semantic=semantic)
    drawn = evaluated.draw(seen._replace(prediction=wrong), SPEC, (HEIGHT, WIDTH))
    assert (drawn[Kind.SEMANTIC_ERROR][:28] == 255).all()
    assert not drawn[Kind.SEMANTIC_ERROR][28:].any()
    tint = error_maps.COLORS[error_maps.Error.CONFUSED] * 0.75
    assert (drawn[Kind.PANOPTIC_ERROR][:28] >= tint - 1).all()


def test_offsets_of_label_and_prediction_have_one_scale():
    """Offsets twice as long are darker than the longest of the label, not the new full colour."""
    seen = _perfect()
    said = seen.instances
    drawn = evaluated.draw(
        seen._replace(instances=said._replace(offset=2 * said.offset)), SPEC, (HEIGHT, WIDTH)
    )
    label, prediction = drawn[Kind.OFFSET_LABEL], drawn[Kind.OFFSET_PREDICTION]
    assert label[5, 5].max() == 255
    assert prediction[5, 5].max() == 191


def test_without_an_instance_branch_classes_alone_are_drawn_and_judged():
    seen = _perfect()
    one = np.where(seen.prediction.semantic == CAR, CODEC.encode(CAR, 1), seen.prediction.panoptic)
    seen = seen._replace(prediction=seen.prediction._replace(panoptic=one), instances=None)
    drawn = evaluated.draw(seen, SPEC, (HEIGHT, WIDTH))
    assert set(drawn) == {*evaluated.SEMANTIC_CHOICE, Kind.SEMANTIC_ERROR}
    grey = drawn[Kind.PANOPTIC_ERROR][:28]
    assert (grey == grey[..., :1]).all()


def test_nothing_of_things_is_no_fault():
    seen = _perfect()
    truth = np.full((HEIGHT, WIDTH), CODEC.encode(ROAD, 0), np.int32)
    targets = previews.targets(truth[::2, ::2], SPEC, config.DatasetOptions())
    none = evaluated.Instances(targets.center, np.empty((0, 2), np.int64), targets.offset, targets)
    semantic, instance = CODEC.decode(truth)
    prediction = tensors.Prediction(truth, semantic, instance, np.zeros(truth.shape, np.float32))
    seen = evaluated.Evaluated(seen.image, truth, prediction, none)
    assert len(evaluated.draw(seen, SPEC, (16, 24))) == len(Kind)
