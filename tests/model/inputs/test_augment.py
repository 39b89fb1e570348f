# SPDX-License-Identifier: Apache-2.0
"""Random scale, position and flip: what is drawn, and that image and label follow it."""

import collections
from collections.abc import Iterator

import hypothesis
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import strategies as st

from panpipe.custom_ops import library
from panpipe.model.inputs import augment, resize

CROP = (9, 11)
VOID = 255000


@pytest.fixture(params=['op', 'twin'], scope='module', autouse=True)
def _version(request: pytest.FixtureRequest) -> Iterator[None]:
    """Runs every test with the compiled ops and without."""
    if request.param == 'op' and not library.available():
        pytest.fail('the compiled ops are missing: run `make op` first')
    with pytest.MonkeyPatch.context() as patch:
        if request.param == 'twin':
            patch.setattr(library, 'load', lambda: None)
        yield


def _key(seed: int, number: int = 0) -> tf.Tensor:
    return tf.constant([seed, number], tf.int64)


def _widths(scales: augment.Scales, draws: int) -> list[int]:
    draw = tf.function(lambda number: augment.draw_size(tf.stack([7, number]), 1, 100000, scales)[1])
    return [int(draw(tf.constant(i, tf.int64))) for i in range(draws)]


@pytest.mark.parametrize(
    ('largest', 'expected'), [(2.0, np.linspace(0.5, 2, 15)), (1.5, np.linspace(0.5, 1.5, 10))]
)
def test_scales_of_the_reference(largest: float, expected: np.ndarray) -> None:
    step = float(np.float32(0.1))  # as configurations hold it
    drawn = collections.Counter(_widths(augment.Scales(0.5, largest, step), 400))
    np.testing.assert_allclose(sorted(drawn), expected * 100000, atol=1)
    assert min(drawn.values()) > 400 / len(expected) / 4


def test_scales_without_a_step_are_any() -> None:
    widths = np.array(_widths(augment.Scales(0.5, 2.0, 0.0), 200))
    assert len(set(widths)) > 190
    assert 50000 <= widths.min() < 60000
    assert 190000 < widths.max() < 200000


def test_scale_one_keeps_the_size() -> None:
    size = augment.draw_size(_key(1), 7, 13, augment.Scales(1.0, 1.0, 0.25))
    assert size.numpy().tolist() == [7, 13]


@tf.function
def _window(key: tf.Tensor, scaled: tf.Tensor) -> augment.Window:
    return augment.draw_window(key, scaled, CROP)


def test_every_position_is_drawn() -> None:
    windows = [_window(_key(3, i), tf.constant([5, 14])) for i in range(300)]
    assert {int(window.offset[0]) for window in windows} == set(range(5))
    assert {int(window.offset[1]) for window in windows} == {0}
    assert {int(window.start[0]) for window in windows} == {0}
    assert {int(window.start[1]) for window in windows} == set(range(4))
    assert 110 < sum(bool(window.is_flipped) for window in windows) < 190


def _expected(whole: np.ndarray, window: augment.Window, fill: float) -> np.ndarray:
    top, left = window.start.numpy()
    height, width = window.visible.numpy()
    y, x = window.offset.numpy()
    result = np.full((*CROP, *whole.shape[2:]), fill, whole.dtype)
    result[y : y + height, x : x + width] = whole[top : top + height, left : left + width]
    return result[:, ::-1] if window.is_flipped else result


@hypothesis.settings(max_examples=40, deadline=None)
@hypothesis.given(
    st.integers(0, 2**31), st.integers(1, 20), st.integers(1, 20), st.integers(1, 40), st.integers(1, 40)
)
def test_image_and_label_show_the_same_window(seed: int, h: int, w: int, height: int, width: int) -> None:
    rng = np.random.default_rng(seed)
    image = rng.integers(0, 256, (h, w, 3)).astype(np.uint8)
    if seed % 2:  # what a change of colour leaves
        image = image + rng.random(image.shape).astype(np.float32)
    label = rng.integers(0, 255000, (h, w)).astype(np.int32)
    window = augment.draw_window(_key(seed), tf.constant([height, width]), CROP)
    np.testing.assert_array_equal(
        augment.cut_image(image, window, CROP).numpy(),
        _expected(resize.bilinear(image, height, width).numpy(), window, 127.5),
        strict=True,
    )
    np.testing.assert_array_equal(
        augment.cut_label(label, window, CROP, VOID).numpy(),
        _expected(resize.nearest(label, height, width).numpy(), window, VOID),
        strict=True,
    )


@pytest.mark.parametrize('scaled', [(4, 5), (9, 11), (30, 40), (4, 40)])
def test_traced_equals_eager(scaled: tuple[int, int]) -> None:
    image = tf.constant(np.random.default_rng(0).integers(0, 256, (8, 10, 3)), tf.uint8)

    def cut(key: tf.Tensor) -> tf.Tensor:
        return augment.cut_image(image, augment.draw_window(key, tf.constant(scaled), CROP), CROP)

    traced = tf.function(cut)
    for seed in range(4):
        np.testing.assert_array_equal(traced(_key(seed)).numpy(), cut(_key(seed)).numpy())
