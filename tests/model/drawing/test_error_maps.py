# SPDX-License-Identifier: Apache-2.0
"""Error maps against hand-made cases, and against panoptic quality's own counts."""

import hypothesis
import numpy as np
from hypothesis import strategies as st

import synthetic
from panpipe.model.drawing import error_maps
from panpipe.model.drawing.error_maps import Error
from panpipe.model.metrics import quality

SMALL = synthetic.SMALL


def test_every_kind_of_error():
    thing, stuff, void = 201, 100, SMALL.void
    truth = np.array([[thing, thing, thing, stuff, void, 200, 301, 301]])
    prediction = np.array([[thing, thing, stuff, stuff, thing, stuff, 502, void]])
    found = error_maps.errors(truth, prediction, SMALL)[0].tolist()
    assert found[:2] == [Error.NONE] * 2
    assert found[4:] == [Error.VOID, Error.VOID, Error.CONFUSED, Error.MISSED]
    assert found[2:4] == [Error.INVENTED, Error.CONFUSED]  # the stuff has an IoU of one third


def test_the_border_of_two_matches():
    truth = np.repeat([[100, 0]], 5, 1)
    prediction = truth.copy()
    prediction[0, 4] = 0
    assert error_maps.errors(truth, prediction, SMALL)[0].tolist() == [
        0,
        0,
        0,
        0,
        Error.BORDER,
        0,
        0,
        0,
        0,
        0,
    ]


@hypothesis.given(st.integers(0, 2**32 - 1))
def test_a_map_without_errors_is_perfect_and_the_other_way_round(seed):
    rng = np.random.default_rng(seed)
    truth, other = (synthetic.panoptic_map(rng, SMALL) for _ in range(2))
    for prediction in (truth, other):
        found = error_maps.errors(truth, prediction, SMALL)
        counts = quality.PanopticQuality.from_maps(truth, prediction, SMALL).counts.sum(1)
        assert bool((found == Error.NONE).any()) == bool(counts[0])
        if counts[1] == 0:
            assert (
                not np.isin(found, [Error.MISSED, Error.CONFUSED]).any() or (prediction == SMALL.void).any()
            )


def test_classes_alone_may_be_judged():
    truth = np.array([[201, 202, 200, 100, SMALL.void]])
    prediction = np.array([[207, 207, 207, 100, 207]])
    assert error_maps.errors(truth, prediction, SMALL)[0].tolist() != [0, 0, 0, 0, Error.VOID]
    assert error_maps.class_errors(truth, prediction, SMALL)[0].tolist() == [0, 0, 0, 0, Error.VOID]


def test_the_picture_colours_errors_alone():
    image = np.full((1, 2, 3), 100, np.uint8)
    drawn = error_maps.picture(image, np.array([[Error.NONE, Error.MISSED]]))
    assert drawn[0, 0].tolist() == [100, 100, 100]
    assert drawn[0, 1].tolist() == [25, 110, 158]
