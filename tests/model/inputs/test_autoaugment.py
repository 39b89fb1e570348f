# SPDX-License-Identifier: Apache-2.0
"""Colour operations against Pillow's, and how often a policy acts."""

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image, ImageEnhance, ImageOps

from panpipe.model.inputs import autoaugment

POLICIES = {'strong': autoaugment.SIMPLE, 'weak': autoaugment.WEAK}
NAMES = tuple(POLICIES)
PIXELS = np.random.default_rng(5).integers(20, 200, (24, 32, 3)).astype(np.uint8)
NEVER = ('Equalize', 0.0, 0.0)


def _apply(name: str, strength: float, pixels: np.ndarray = PIXELS) -> np.ndarray:
    policy = (((name, 1.1, strength), NEVER),)
    image = tf.constant(pixels, tf.float32)
    return autoaugment.recolor(image, tf.constant([0, 0], tf.int64), policy).numpy()


@pytest.mark.parametrize('strength', [0.2, 1, 2, 7, 9, 10])
@pytest.mark.parametrize('name', ['Brightness', 'Color', 'Contrast', 'Sharpness'])
def test_enhancements_are_those_of_pillow(name: str, strength: float) -> None:
    factor = strength / 10 * 1.8 + 0.1
    expected = np.asarray(getattr(ImageEnhance, name)(Image.fromarray(PIXELS)).enhance(factor), np.float32)
    # Pillow rounds grey values and smoothed ones to the nearest integer.
    np.testing.assert_allclose(_apply(name, strength), expected, atol=0 if name == 'Brightness' else 2)


@pytest.mark.parametrize('strength', [0, 1.4, 7, 10])
def test_solarize_is_that_of_pillow(strength: float) -> None:
    expected = ImageOps.solarize(Image.fromarray(PIXELS), int(strength / 10 * 256))
    np.testing.assert_array_equal(_apply('Solarize', strength), np.asarray(expected))


@pytest.mark.parametrize('shape', [(24, 32, 3), (5, 7, 3), (64, 64, 3)])
def test_equalize_is_that_of_pillow(shape: tuple[int, int, int]) -> None:
    pixels = (np.random.default_rng(1).beta(2, 5, shape) * 180).astype(np.uint8)
    expected = ImageOps.equalize(Image.fromarray(pixels))
    np.testing.assert_array_equal(_apply('Equalize', 0, pixels), np.asarray(expected))


def test_equalize_keeps_an_even_image() -> None:
    even = np.full((6, 6, 3), 40, np.uint8)
    np.testing.assert_array_equal(_apply('Equalize', 0, even), even)


@pytest.mark.parametrize('name', NAMES)
def test_acts_as_often_as_its_probabilities_say(name: str) -> None:
    image = tf.constant(PIXELS[:4, :4], tf.float32) + 0.25
    recolor = tf.function(lambda number: autoaugment.recolor(image, tf.stack([number, 0]), POLICIES[name]))
    results = [recolor(tf.constant(i, tf.int64)).numpy() for i in range(300)]
    unchanged = [np.array_equal(result, image.numpy()) for result in results]
    # The five pairs leave an image alone with .48, .8, .64, .32 and .64.
    assert 0.45 < np.mean(unchanged) < 0.7
    # An operation cuts fractions off; without one they stay.
    assert unchanged == [(result % 1 > 0).all() for result in results]
    np.testing.assert_array_equal(results[7], recolor(tf.constant(7, tf.int64)).numpy())
