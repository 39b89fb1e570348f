# SPDX-License-Identifier: Apache-2.0
"""What the segments of two maps share: the counting that all metrics begin with."""

import numpy as np


def between(first: np.ndarray, second: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns the distinct ids of both maps and int64 [ids of first, ids of second], pixels they share."""
    check_shapes(first, second)
    (first, second), pixels = runs(first, second)
    (first_ids, rows), (second_ids, columns) = compact(first), compact(second)
    joint = np.bincount(rows * len(second_ids) + columns, pixels, len(first_ids) * len(second_ids))
    return first_ids, second_ids, joint.reshape(len(first_ids), len(second_ids)).astype(np.int64)


def runs(*maps: np.ndarray) -> tuple[list[np.ndarray], np.ndarray]:
    """Run-length codes maps of one shape together: the values of each, and pixels, one entry a run.

    Label maps are piecewise constant: all that follows touches thousands of runs, not millions of pixels.
    """
    first, *others = flat = [each.ravel() for each in maps]
    starts = np.empty(first.size, bool)
    starts[:1] = True
    np.not_equal(first[1:], first[:-1], out=starts[1:])
    for other in others:
        starts[1:] |= other[1:] != other[:-1]
    positions = np.flatnonzero(starts)
    return [each[positions] for each in flat], np.diff(positions, append=first.size)


def check_shapes(ground_truth: np.ndarray, prediction: np.ndarray) -> None:
    """Raises a ValueError if two maps differ in shape."""
    if ground_truth.shape != prediction.shape:
        raise ValueError(
            f'ground truth has shape {ground_truth.shape}, prediction {prediction.shape}; they must agree'
        )


def ratio_of_union(joint: np.ndarray, truth: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """Computes IoUs, float64 [truths, predictions], of shared pixels and areas; 0 where there is no pixel."""
    return joint / np.maximum(truth[:, None] + predicted - joint, 1)


def compact(ids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns the distinct ids, ascending, and for each entry of `ids`, of any shape, its index among them.

    Raises:
      ValueError: an id is negative.
    """
    if ids.size and ids.min() < 0:
        raise ValueError(f'panoptic id {ids.min()} is negative')
    occurs = np.zeros(int(ids.max(initial=0)) + 1, bool)  # of the type of the ids, the sum might overflow
    occurs[ids] = True
    distinct = np.flatnonzero(occurs)
    index = np.empty(occurs.size, np.int64)
    index[distinct] = np.arange(len(distinct))
    return distinct, index[ids]
