# SPDX-License-Identifier: Apache-2.0
"""The softmax of mask logits over slots, at full resolution, in TensorFlow's own operations.

It is specified to the last bit, so that the compiled op, which computes the few terms that count, agrees:

* Logits are clamped to ±2^100 (NaN counts as -2^100), then resized bilinearly with aligned corners, along the
  rows first. Every operation is rounded to float32.
* A term is e^(logit - largest logit) by `exponential`, which is 0 below e^-20.
* Slot k adds to the partial sum k mod 16, in ascending order of slots. Of the partial sums those 8 apart are
  added, then those 4, 2 and 1 apart.
* A probability is a term divided by that sum, so that the largest is 1 divided by it.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

LARGEST = 2.0**100
LEAST_EXPONENT = -20.0
PARTS = 16
LOG2_E = 1.4426950408889634
# 2^x for -0.5 <= x <= 0.5, the coefficients of x to x^5: minimax, exact at 0, relative error 9e-8.
POWERS = (0.693147003650665, 0.240222424268723, 0.055507335811853, 0.00967151299118996, 0.00132647273130715)
# Probabilities are counted in steps of 2^-24: the sum of integers is the same in any order.
STEPS = 2.0**24

_AT_A_TIME = 2**23  # logits of full resolution


class Pixels(NamedTuple):
    """Assigns the pixels of one image to slots, maps [height, width].

    Attributes:
      likeliest: int32, the slot of the largest logit; the first one of equals.
      slot: int32, the same among the slots that are alive.
      score: float32, the probability of `slot` among those.
      leads: bool, whether no other slot has a larger logit than `slot`.
    """

    likeliest: tf.Tensor
    slot: tf.Tensor
    score: tf.Tensor
    leads: tf.Tensor


def classify(logits: tf.Tensor, is_alive: tf.Tensor, height: int, width: int) -> Pixels:
    """Finds the likeliest slot of each pixel.

    Args:
      logits: float32 [h, w, slots].
      is_alive: bool [slots]; where no slot is alive, all but `likeliest` has no meaning.
      height: rows of the result.
      width: columns of the result.
    """

    def look(values: tf.Tensor, _: tf.Tensor) -> Pixels:
        alive = tf.where(is_alive, values, -float('inf'))
        top = tf.reduce_max(alive, -1)
        terms = exponential(alive - top[..., None])
        return Pixels(
            tf.argmax(values, -1, tf.int32),
            tf.argmax(alive, -1, tf.int32),
            # The largest term is 1. Written out, TensorFlow's graphs would make an inexact reciprocal of it.
            tf.reduce_max(terms, -1) / add_up(terms),
            top == tf.reduce_max(values, -1),
        )

    banded = _in_bands(look, logits, (height, width), Pixels(tf.int32, tf.int32, tf.float32, tf.bool))
    return Pixels(
        *(tf.ensure_shape(tf.reshape(part, (-1, width))[:height], (height, width)) for part in banded)
    )


def masks(logits: tf.Tensor, is_alive: tf.Tensor, threshold: float, height: int, width: int) -> tf.Tensor:
    """Marks the pixels where the probability of a slot, among those that are alive, exceeds a threshold.

    Args:
      logits: float32 [h, w, slots].
      is_alive: bool [slots].
      threshold: 0 .. 1.
      height: rows of the result.
      width: columns of the result.

    Returns:
      bool [slots, height, width].
    """

    def look(values: tf.Tensor, _: tf.Tensor) -> tf.Tensor:
        alive = tf.where(is_alive, values, -float('inf'))
        return tf.transpose((_probabilities(alive) > threshold) & is_alive, (2, 0, 1))

    banded = tf.transpose(_in_bands(look, logits, (height, width), tf.bool), (1, 0, 2, 3))
    shape = (logits.shape[-1], height, width)
    return tf.ensure_shape(tf.reshape(banded, (shape[0], -1, width))[:, :height], shape)


def confidences(logits: tf.Tensor, threshold: float) -> tf.Tensor:
    """Returns the mean probability of each slot where it exceeds a threshold, 0 where it does nowhere.

    Args:
      logits: float32 [h, w, slots], at the resolution that counts.
      threshold: 0 .. 1.

    Returns:
      float32 [slots].
    """

    def look(values: tf.Tensor, exists: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        probability = _probabilities(values)
        is_on = (probability > threshold) & exists
        steps = tf.cast(tf.round(tf.where(is_on, probability, 0.0) * STEPS), tf.int64)
        return tf.reduce_sum(steps, (0, 1)), tf.reduce_sum(tf.cast(is_on, tf.int64), (0, 1))

    size = logits.shape[0], logits.shape[1]
    parts = _in_bands(look, logits, size, (tf.int64, tf.int64))
    steps, pixels = (tf.cast(tf.reduce_sum(part, 0), tf.float64) for part in parts)
    return tf.cast(steps / tf.maximum(pixels, 1.0) / STEPS, tf.float32)


def exponential(x: tf.Tensor) -> tf.Tensor:
    """Returns e^x for x <= 0 with an absolute error of 1.3e-7, 0 below e^-20."""
    # 2^(whole + rest), with the rest around 0.
    power = tf.maximum(x, LEAST_EXPONENT) * LOG2_E
    whole = tf.round(power)
    rest = power - whole
    value = tf.ones_like(rest) * POWERS[-1]
    for factor in (*reversed(POWERS[:-1]), 1.0):
        value = value * rest + factor
    exponent = tf.bitwise.left_shift(tf.cast(whole, tf.int32) + 127, tf.constant(23))
    return tf.where(x < LEAST_EXPONENT, 0.0, value * tf.bitcast(exponent, tf.float32))


def add_up(terms: tf.Tensor) -> tf.Tensor:
    """Adds the terms of all slots, float32 [..., slots], in the order that the module states."""
    slots = terms.shape[-1]
    missing = -slots % PARTS
    terms = tf.pad(terms, [(0, 0)] * (terms.shape.rank - 1) + [(0, missing)])
    first, *others = tf.split(terms, (slots + missing) // PARTS, -1)
    total = first
    for part in others:
        total = total + part
    while total.shape[-1] > 1:
        one, other = tf.split(total, 2, -1)
        total = one + other
    return total[..., 0]


def _probabilities(values: tf.Tensor) -> tf.Tensor:
    terms = exponential(values - tf.reduce_max(values, -1, keepdims=True))
    return terms / add_up(terms)[..., None]


def _in_bands(
    look: Callable[[tf.Tensor, tf.Tensor], Any], logits: tf.Tensor, size: tuple[int, int], result: Any
) -> Any:
    """Looks at bands of rows of the resized logits, one after the other, because all are too many.

    Args:
      look: takes the logits of a band, float32 [rows, width, slots], and whether its rows exist, bool
        [rows, 1, 1]: the last band may reach beyond the end, where it repeats the last row.
      logits: float32 [h, w, slots].
      size: height and width of all bands together.
      result: the types of what `look` returns.

    Returns:
      What `look` returns, with an axis of bands before.
    """
    height, width = size
    clamped = tf.minimum(tf.where(logits > -LARGEST, logits, -LARGEST), LARGEST)
    rows = min(height, max(1, _AT_A_TIME // (width * logits.shape[-1])))
    left, right, across = _between(tf.range(width), width, logits.shape[1])

    def band(first: tf.Tensor) -> Any:
        y = first + tf.range(rows)
        top, bottom, down = _between(tf.minimum(y, height - 1), height, logits.shape[0])

        def along(row: tf.Tensor) -> tf.Tensor:
            source = tf.gather(clamped, row)
            begin = tf.gather(source, left, axis=1)
            return begin + (tf.gather(source, right, axis=1) - begin) * across[:, None]

        upper = along(top)
        values = upper + (along(bottom) - upper) * down[:, None, None]
        return look(values, (y < height)[:, None, None])

    return tf.map_fn(band, tf.range(0, height, rows), fn_output_signature=result)


def _between(place: tf.Tensor, size: int, count: int) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Returns the two of `count` samples beside each place of an axis, and the way from the first on."""
    scale = np.float32(count - 1) / np.float32(max(size - 1, 1))
    position = tf.cast(place, tf.float32) * scale
    below = tf.floor(position)
    upper = tf.minimum(tf.cast(tf.math.ceil(position), tf.int32), count - 1)
    return tf.cast(below, tf.int32), upper, position - below
