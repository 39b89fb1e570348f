# SPDX-License-Identifier: Apache-2.0
"""Figures of the toy street are drawn in picture and labels at once, where and as large as they are told."""

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st

from panpipe.pipelines.toy_street import objects

FEWER = hypothesis.settings(deadline=None, max_examples=50)
HEIGHT, WIDTH = 40, 80
RED = (200, 30, 40)
# Width of each figure as a share of its height, as the docstrings say; a tree's crown is drawn at random.
FIGURES = {objects.car: 1.3, objects.bus: 0.9, objects.person: 0.42}


def _canvas(label=7):
    return objects.Canvas(HEIGHT, WIDTH, label)


def _rng(seed=0):
    return np.random.default_rng(seed)


@FEWER
@hypothesis.given(st.tuples(*[st.integers(0, 255)] * 3), st.floats(0, 10))
def test_shades_are_colors(color, factor):
    shaded = objects.shade(color, factor)
    assert all(type(value) is int and 0 <= value <= 255 for value in shaded)
    assert objects.shade(color, 1) == color
    for value, given in zip(shaded, color, strict=True):
        assert value >= given if factor >= 1 else value <= given


def test_a_canvas_is_empty_at_first():
    canvas = _canvas()
    assert canvas.picture().shape == (HEIGHT, WIDTH, 3)
    assert canvas.picture().dtype == np.float64
    assert canvas.labels().shape == (HEIGHT, WIDTH)
    assert canvas.labels().dtype == np.int32
    assert not canvas.picture().any()
    assert not canvas.labels().any()


def test_a_box_fills_its_pixels():
    canvas = _canvas(26003)
    canvas.box(0.5, 0.25, 1.0, 0.75, RED)
    expected = np.zeros((HEIGHT, WIDTH), bool)
    expected[10:31, 20:41] = True  # outlines belong to shapes
    is_labelled = canvas.labels() == 26003
    np.testing.assert_array_equal(is_labelled, expected)
    assert (canvas.picture()[12:29, 22:39] == RED).all()
    assert not canvas.picture()[:9].any()


def test_what_is_drawn_later_hides_what_is_below():
    canvas = _canvas(1)
    canvas.box(0, 0, 2, 1, RED)
    canvas.label = 2
    canvas.box(0.5, 0.5, 1, 1, (0, 0, 255))
    assert set(np.unique(canvas.labels())) == {1, 2}
    assert canvas.picture()[30, 30].tolist() == [0, 0, 255]
    assert canvas.picture()[5, 5].tolist() == list(RED)


def test_edges_of_the_picture_are_smooth_and_those_of_labels_are_not():
    canvas = _canvas(1)
    canvas.ellipse(1, 0.5, 0.4, 0.4, (255, 255, 255))
    shades = set(np.unique(canvas.picture()))
    assert {0.0, 255.0} < shades
    assert set(np.unique(canvas.labels())) == {0, 1}
    # Area of the ellipse: pi * 0.4 ** 2 of a square whose side is the height; and half its outline.
    assert (canvas.labels() == 1).sum() == pytest.approx(np.pi * 0.16 * HEIGHT**2, rel=0.08)


def test_shapes_may_reach_out_of_the_picture():
    canvas = _canvas(1)
    canvas.box(-5, -5, 5, 5, RED)
    assert (canvas.labels() == 1).all()
    assert (canvas.picture() == RED).all()


@pytest.mark.parametrize('figure', [*FIGURES, objects.tree])
def test_a_figure_has_one_label_and_is_in_both_maps(figure):
    canvas = _canvas(24001)
    figure(canvas, _rng(), 1.0, 0.9, 0.6)
    is_labelled = canvas.labels() == 24001
    assert set(np.unique(canvas.labels())) == {0, 24001}
    is_painted = canvas.picture().any(-1)
    assert is_painted[is_labelled].all()
    # Only pixels at outlines are painted in part and labelled otherwise.
    assert (is_painted & ~is_labelled).sum() < 0.3 * is_labelled.sum()


@pytest.mark.parametrize(('figure', 'aspect'), FIGURES.items())
@pytest.mark.parametrize('size', [0.4, 0.7])
def test_a_figure_stands_on_its_foot_and_has_its_size(figure, aspect, size):
    canvas = _canvas(1)
    figure(canvas, _rng(), 1.0, 0.9, size)
    rows, columns = np.nonzero(canvas.labels())
    assert rows.max() == pytest.approx(0.9 * HEIGHT, abs=1)
    assert rows.max() - rows.min() == pytest.approx(size * HEIGHT, abs=2)
    assert (columns.min() + columns.max()) / 2 == pytest.approx(1.0 * HEIGHT, abs=1)
    assert columns.max() - columns.min() == pytest.approx(aspect * size * HEIGHT, abs=2.5)


@pytest.mark.parametrize('figure', [*FIGURES, objects.tree])
def test_the_same_generator_draws_the_same_figure(figure):
    pictures = []
    for seed in (3, 3, *range(10)):
        canvas = _canvas(1)
        figure(canvas, _rng(seed), 1.0, 0.9, 0.6)
        pictures.append(canvas.picture().tobytes())
    assert pictures[0] == pictures[1]
    assert len(set(pictures)) > 1


@pytest.mark.parametrize('figure', FIGURES)
@pytest.mark.parametrize('shift', [0.25, -0.5])
def test_moving_a_figure_moves_its_labels(figure, shift):
    maps = []
    for x in (1.0, 1.0 + shift):
        canvas = _canvas(1)
        figure(canvas, _rng(), x, 0.9, 0.5)
        maps.append(canvas.labels())
    np.testing.assert_array_equal(maps[1], np.roll(maps[0], round(shift * HEIGHT), 1))


def test_a_house_recedes_to_the_vanishing_point():
    canvas = _canvas(11)
    objects.house(canvas, _rng(), (0.0, 0.9), 0.35, (1.0, 0.4))
    heights = (canvas.labels() == 11).sum(0)
    facade = heights[: round(0.9 * HEIGHT)]
    assert (np.diff(facade) <= 1).all()
    assert facade[0] > 3 * facade[-1] > 0
    assert not heights[round(0.9 * HEIGHT) + 2 :].any()
    # The roof is 0.35 above the horizon at 0.4, the foot 0.1 below.
    rows = np.flatnonzero(canvas.labels()[:, 0])
    assert rows[[0, -1]] / HEIGHT == pytest.approx([0.05, 0.5], abs=0.05)
