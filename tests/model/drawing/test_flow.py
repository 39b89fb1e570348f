# SPDX-License-Identifier: Apache-2.0
"""The colour wheel: directions are hues, lengths strengths."""

import numpy as np
import pytest

from panpipe.model.drawing import flow

PAPER = (247, 248, 250)


def _color(y, x, longest=1.0):
    return flow.colors(np.array([y, x], np.float32), longest).tolist()


def test_the_wheel_has_the_published_corners():
    wheel = flow.wheel()
    assert wheel.shape == (55, 3)
    corners = {0: (1, 0, 0), 15: (1, 1, 0), 21: (0, 1, 0), 25: (0, 1, 1), 36: (0, 0, 1), 49: (1, 0, 1)}
    for place, color in corners.items():
        assert wheel[place].tolist() == list(color)
    assert np.all((wheel.max(1) == 1) & (wheel.min(1) == 0))


@pytest.mark.parametrize(
    ('vector', 'is_like'),
    [
        ((1, 0), lambda red, green, blue: red == 255 and green < 30 and blue < 60),  # down: red
        ((0, 1), lambda red, green, blue: red > 200 and green > 200 and blue == 0),  # right: yellow
        ((-1, 0), lambda red, green, blue: red == 0 and green > 150 and blue == 255),  # up: cyan
        ((0, -1), lambda red, green, blue: 50 < red < 200 and green == 0 and blue == 255),  # left: violet
    ],
)
def test_directions_have_the_hues_that_the_docstring_names(vector, is_like):
    assert is_like(*_color(*vector)), _color(*vector)


def test_no_vector_is_white_and_longer_ones_are_stronger():
    assert _color(0, 0) == [255, 255, 255]
    shades = [min(_color(length, 0)) for length in (0, 0.25, 0.5, 0.75, 1)]
    assert shades == sorted(shades, reverse=True)
    assert _color(10, 0, 20) == _color(0.5, 0)
    assert max(_color(2, 0)) == round(0.75 * 255)


def test_the_longest_vector_has_the_full_colour():
    vectors = np.random.default_rng(0).normal(0, 50, (1000, 2)).astype(np.float32)
    lengths = np.hypot(vectors[:, 0], vectors[:, 1])
    for vector, length in zip(vectors, lengths, strict=True):
        assert flow.colors(vector, float(length)).max() == 255


def test_nothing_to_scale_by_is_no_fault():
    assert flow.colors(np.zeros((2, 3, 2), np.float32), 0.0).tolist() == [[[255] * 3] * 3] * 2


def test_the_key_shows_each_vector_where_it_points():
    side = 76
    disk = flow.disk(side, PAPER)
    assert disk.shape == (side, side, 3)
    assert disk.dtype == np.uint8
    assert tuple(disk[0, 0]) == PAPER
    for y, x in ((side - 6, 38), (38, side - 6), (6, 38), (20, 20)):
        vector = (y + 0.5) / (side / 2) - 1, (x + 0.5) / (side / 2) - 1
        np.testing.assert_allclose(disk[y, x].astype(int), _color(*vector), atol=2)
