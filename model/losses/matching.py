# SPDX-License-Identifier: Apache-2.0
"""Matches true segments with mask slots, one to one, so that the total similarity is largest.

Two forms give the same assignment, ties included. Both work on similarities as whole numbers, in which sums
are exact, and the form for XLA takes the same steps, in the same order, as SciPy's solver.

Source: Crouse, On Implementing 2D Rectangular Assignment Algorithms (IEEE TAES 2016).
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import tensorflow as tf

# (similarity float32 [batch, rows, slots], is_real bool [batch, rows]) → slots int32 [batch, rows], -1: none
Match = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]

# A float32 from 1.5e-5 to 1 is a whole number of these; sums along 8192 edges still fit float64.
_UNIT = 2.0**-40
_UNREACHED = np.iinfo(np.int64).max


class _Matching(NamedTuple):
    """Holds what is matched so far, with the prices that prove it best (rows and slots of one image).

    Attributes:
      row_price: int64 [rows].
      slot_price: int64 [slots].
      slot_of: int32 [rows], -1 for none.
      row_of: int32 [slots], -1 for none.
    """

    row_price: tf.Tensor
    slot_price: tf.Tensor
    slot_of: tf.Tensor
    row_of: tf.Tensor


class _Search(NamedTuple):
    """Holds the state of the search for the cheapest path from a row to a free slot.

    Attributes:
      row: int32, the row whose edges are looked at next.
      sink: int32, the free slot that was found, or -1.
      length: int64, of the path to `row`.
      distance: int64 [slots], of the shortest path to each slot.
      before: int32 [slots], the row before the slot on that path.
      is_passed: bool [slots], the shortest path to the slot is known.
      has_passed: bool [rows].
      place: int32 [slots], the slot's place in the list of those not passed, which decides ties.
      num_left: int32, length of that list.
    """

    row: tf.Tensor
    sink: tf.Tensor
    length: tf.Tensor
    distance: tf.Tensor
    before: tf.Tensor
    is_passed: tf.Tensor
    has_passed: tf.Tensor
    place: tf.Tensor
    num_left: tf.Tensor


def exact(similarity: tf.Tensor, is_real: tf.Tensor) -> tf.Tensor:
    """Matches by SciPy, on the CPU.

    Args:
      similarity: float32 [batch, rows, slots], 0 .. 1.
      is_real: bool [batch, rows], the rows to match; there are no more of them in an image than slots.

    Returns:
      The slot of each row, int32 [batch, rows]; -1 for a row that is not real.
    """
    found = tf.numpy_function(_assign, [_costs(similarity), is_real], tf.int32, stateful=False)
    return tf.ensure_shape(found, similarity.shape[:2])


def static(similarity: tf.Tensor, is_real: tf.Tensor) -> tf.Tensor:
    """Matches as `exact` does, in operations that XLA compiles."""

    def solve(image: tuple[tf.Tensor, tf.Tensor]) -> tf.Tensor:
        return _solve(*image)

    return tf.map_fn(solve, (_costs(similarity), is_real), fn_output_signature=tf.int32)


def _costs(similarity: tf.Tensor) -> tf.Tensor:
    return -tf.cast(tf.stop_gradient(similarity) / _UNIT, tf.int64)


def _assign(costs: np.ndarray, is_real: np.ndarray) -> np.ndarray:
    from scipy import optimize  # takes a second to import, which no other network's training needs

    slots = np.full(is_real.shape, -1, np.int32)
    for image, cost in enumerate(costs):
        (real,) = np.nonzero(is_real[image])
        rows, columns = optimize.linear_sum_assignment(cost[real])
        slots[image, real[rows]] = columns
    return slots


def _solve(cost: tf.Tensor, is_real: tf.Tensor) -> tf.Tensor:
    """Matches one image's rows, one after the other: int64 [rows, slots], bool [rows] → int32 [rows]."""
    num_rows, num_slots = cost.shape
    start = _Matching(
        tf.zeros([num_rows], tf.int64),
        tf.zeros([num_slots], tf.int64),
        tf.fill([num_rows], -1),
        tf.fill([num_slots], -1),
    )
    real_first = tf.argsort(tf.cast(~is_real, tf.int32), stable=True)
    count = tf.reduce_sum(tf.cast(is_real, tf.int32))

    def add(number: tf.Tensor, matching: _Matching) -> tuple[tf.Tensor, _Matching]:
        return number + 1, _add(cost, tf.gather(real_first, number), matching)

    _, matching = tf.while_loop(lambda number, _: number < count, add, (tf.constant(0), start))
    return matching.slot_of


def _add(cost: tf.Tensor, row: tf.Tensor, matching: _Matching) -> _Matching:
    """Matches one more row, and others anew where that is cheaper."""
    num_rows, num_slots = cost.shape
    search = _Search(
        row=row,
        sink=tf.constant(-1),
        length=tf.constant(0, tf.int64),
        distance=tf.fill([num_slots], tf.constant(_UNREACHED)),
        before=tf.fill([num_slots], -1),
        is_passed=tf.zeros([num_slots], tf.bool),
        has_passed=tf.zeros([num_rows], tf.bool),
        place=tf.range(num_slots - 1, -1, -1),
        num_left=tf.constant(num_slots),
    )
    (search,) = tf.while_loop(
        lambda state: state.sink < 0, lambda state: (_extend(cost, matching, state),), (search,)
    )
    return _flip(row, search, _reprice(row, search, matching))


def _extend(cost: tf.Tensor, matching: _Matching, search: _Search) -> _Search:
    """Looks at the edges of a row, and goes on to the slot that is nearest of all that were seen."""
    num_slots = cost.shape[1]
    row = search.row
    length = search.length + tf.gather(cost, row) - tf.gather(matching.row_price, row) - matching.slot_price
    is_shorter = ~search.is_passed & (length < search.distance)
    distance = tf.where(is_shorter, length, search.distance)
    nearest = tf.reduce_min(tf.where(search.is_passed, _UNREACHED, distance))
    is_nearest = ~search.is_passed & (distance == nearest)
    # Of equally near slots SciPy takes the last free one in its list, or else the first one.
    by_place = tf.where(matching.row_of < 0, num_slots + search.place, num_slots - 1 - search.place)
    slot = tf.argmax(tf.where(is_nearest, by_place, -1), output_type=tf.int32)
    taken_by = tf.gather(matching.row_of, slot)
    # The last slot of the list fills the gap.
    place = tf.where(search.place == search.num_left - 1, tf.gather(search.place, slot), search.place)
    return _Search(
        row=tf.maximum(taken_by, 0),
        sink=tf.where(taken_by < 0, slot, -1),
        length=nearest,
        distance=distance,
        before=tf.where(is_shorter, row, search.before),
        is_passed=search.is_passed | (tf.range(num_slots) == slot),
        has_passed=search.has_passed | (tf.range(cost.shape[0]) == row),
        place=place,
        num_left=search.num_left - 1,
    )


def _reprice(row: tf.Tensor, search: _Search, matching: _Matching) -> _Matching:
    """Changes the prices so that no edge is cheaper than they say, after a search from `row`."""
    gain = search.length - search.distance
    of_rows = tf.gather(gain, tf.maximum(matching.slot_of, 0))
    of_rows = tf.where(tf.range(tf.size(of_rows)) == row, search.length, of_rows)
    return matching._replace(
        row_price=matching.row_price + tf.where(search.has_passed, of_rows, 0),
        slot_price=matching.slot_price - tf.where(search.is_passed, gain, 0),
    )


def _flip(start: tf.Tensor, search: _Search, matching: _Matching) -> _Matching:
    """Matches every row on the path found with the slot after it."""
    rows, slots = tf.range(tf.size(matching.slot_of)), tf.range(tf.size(matching.row_of))

    def step(slot: tf.Tensor, row: tf.Tensor, slot_of: tf.Tensor, row_of: tf.Tensor) -> tuple[tf.Tensor, ...]:
        del row
        row = tf.gather(search.before, slot)
        next_slot = tf.gather(slot_of, row)
        return next_slot, row, tf.where(rows == row, slot, slot_of), tf.where(slots == slot, row, row_of)

    *_, slot_of, row_of = tf.while_loop(
        lambda slot, row, *_: row != start,
        step,
        (search.sink, tf.constant(-1), matching.slot_of, matching.row_of),
    )
    return matching._replace(slot_of=slot_of, row_of=row_of)
