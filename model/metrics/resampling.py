# SPDX-License-Identifier: Apache-2.0
"""Confidence intervals of panoptic quality and mIoU: how much they depend on the choice of images.

Images are drawn again with replacement, as many as there are, and the figures formed anew from their counts.

Source: Efron and Tibshirani, An Introduction to the Bootstrap (1993), section 13.3, percentile intervals.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from panpipe.model.metrics import quality

LEVEL = 95  # per cent
RESAMPLES = 1000
_SEED = 0


def intervals(
    panoptic: Sequence[quality.PanopticQuality], semantic: Sequence[np.ndarray], is_thing: np.ndarray
) -> dict[str, Any]:
    """Computes intervals of LEVEL per cent; the same counts in the same order always give the same.

    Args:
      panoptic: counts of each image.
      semantic: of each image int64 [3, num_classes], as `class_pixels` makes them.
      is_thing: bool [num_classes].

    Returns:
      `pq`, by group of classes, and `miou`: (low, high) as fractions, None where no class occurs.
    """
    numbers = np.random.default_rng(_SEED).multinomial(
        len(panoptic), np.full(len(panoptic), 1 / len(panoptic)), RESAMPLES
    )
    segments = _drawn(numbers, [np.vstack([_ious(one), one.counts]) for one in panoptic])
    correct, true, predicted = _drawn(numbers, semantic)
    pq, occurs = _class_pq(*segments)
    groups = {'all': np.ones_like(is_thing), 'things': is_thing, 'stuff': ~is_thing}
    union = true + predicted - correct
    return {
        'pq': {name: _interval(pq, occurs & group) for name, group in groups.items()},
        'miou': _interval(correct / np.maximum(union, 1), union > 0),
    }


def class_pixels(semantic: quality.ConfusionMatrix) -> np.ndarray:
    """Returns all that the IoUs need: int64 [3, num_classes], pixels that are right, true, predicted."""
    counts = semantic.counts
    return np.stack([np.diagonal(counts), counts.sum(1), counts.sum(0)[:-1]])


def _ious(one: quality.PanopticQuality) -> np.ndarray:
    return np.array([each.sq * each.true_positives for each in one.result().per_class])


def _drawn(numbers: np.ndarray, counts: Sequence[np.ndarray]) -> np.ndarray:
    """Sums counts [images, k, classes] over the images of each draw: float64 [k, draws, classes]."""
    stacked = np.stack(counts).astype(np.float64)
    return np.moveaxis(np.tensordot(numbers.astype(np.float64), stacked, 1), 1, 0)


def _class_pq(
    iou: np.ndarray, matched: np.ndarray, missed: np.ndarray, wrong: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Returns PQ, and whether the class occurs, both [draws, classes]."""
    weight = matched + (missed + wrong) / 2
    return iou / np.maximum(weight, 0.5), weight > 0


def _interval(figures: np.ndarray, occurs: np.ndarray) -> tuple[float, float] | None:
    """Averages [draws, classes] over the classes that occur, and takes the percentiles over the draws."""
    number = occurs.sum(1)
    if not number.any():
        return None
    means = (figures * occurs).sum(1)[number > 0] / number[number > 0]
    tail = (100 - LEVEL) / 2
    low, high = np.percentile(means, [tail, 100 - tail])
    return float(low), float(high)
