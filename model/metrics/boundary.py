# SPDX-License-Identifier: Apache-2.0
"""Boundary panoptic quality: panoptic quality that asks for outlines as well as for areas.

The boundary of a segment is those of its pixels that are near its contour or the image's border. The IoU of
two segments is the smaller of that of their masks and that of their boundaries, for matching and for quality.
Void, crowd, and which unmatched predictions are not counted: as in `quality`, by the areas of masks.

Source: Cheng et al., Boundary IoU: Improving Object-Centric Image Segmentation Evaluation (CVPR 2021), on
  Boundary IoU and Boundary PQ; https://github.com/bowenc0221/boundary-iou-api, coco_panoptic_api.
"""

import math

import numpy as np

from panpipe.model import labels as label_codec
from panpipe.model.metrics import overlaps, quality

# How far a boundary reaches, as a part of the image's diagonal.
_RATIO = 0.02


def from_maps(
    ground_truth: np.ndarray, prediction: np.ndarray, labels: label_codec.LabelSpec
) -> quality.PanopticQuality:
    """Counts one image, as `PanopticQuality.from_maps` does; the counts add up and give results alike.

    >>> labels = label_codec.LabelSpec(num_classes=2, thing_ids=(1,), label_divisor=10, ignore_label=9)
    >>> truth, prediction = np.zeros((2, 9, 9), int)
    >>> truth[1:8, 1:8] = prediction[1:8, 1:7] = 11
    >>> counted = from_maps(truth, prediction, labels)
    >>> round(counted.result().things.pq, 3)  # of masks 6/7, of boundaries 17 pixels of 29
    0.586

    Args:
      ground_truth: integer [height, width], panoptic ids with crowd as instance 0 of a thing class.
      prediction: integer [height, width], panoptic ids.
      labels: what the ids mean.

    Raises:
      ValueError: the maps differ in shape, or hold an id that is neither of a class nor void.
    """
    truth_ids, predicted_ids, shared = _overlaps(ground_truth, prediction)
    is_void = labels.decode(truth_ids)[0] == labels.ignore_label
    predicted = shared[..., 1].sum(1)  # boundaries of predictions, by the segment of the truth they lie in
    limit = overlaps.ratio_of_union(shared[:, 1, :, 1], shared[:, 1].sum((1, 2)), predicted[~is_void].sum(0))
    return quality.PanopticQuality.from_overlaps(truth_ids, predicted_ids, shared.sum((1, 3)), labels, limit)


def reach(height: int, width: int) -> int:
    """Returns how many pixels wide boundaries are in an image of that size, at least 1."""
    return max(1, round(_RATIO * math.sqrt(height**2 + width**2)))


def near(panoptic: np.ndarray, distance: int) -> np.ndarray:
    """Tells which pixels belong to the boundary of their segment: bool [height, width].

    Those are what a segment loses when it is eroded `distance` times by a square of 3 x 3, with nothing
    around the image: all pixels but those whose window of side 2 * distance + 1 lies in the image and holds
    one id only. They are found for all segments at once, in a time that hardly depends on the distance.

    Args:
      panoptic: integer [height, width].
      distance: in pixels, at least 1.
    """
    height, width = panoptic.shape
    found = np.ones(panoptic.shape, bool)
    if min(height, width) <= 2 * distance:
        return found
    # A window holds one id if each of its rows does, and the column in its middle, which ties them together.
    rows = _any(panoptic[:, 1:] != panoptic[:, :-1], 2 * distance, axis=1)
    middle = panoptic[:, distance : width - distance]
    steps = middle[1:] != middle[:-1]
    steps |= rows[1:]
    windows = _any(steps, 2 * distance, axis=0)
    windows |= rows[: height - 2 * distance]
    found[distance : height - distance, distance : width - distance] = windows
    return found


def _any(flags: np.ndarray, length: int, axis: int) -> np.ndarray:
    """Tells of each window along an axis, which shortens by length - 1, whether a flag is set in it.

    Windows double in length until two of them, overlapping, cover the wanted one.
    """
    covered = 1
    flags = flags.swapaxes(0, axis)
    while covered < length:
        step = min(covered, length - covered)
        flags = flags[:-step] | flags[step:]
        covered += step
    return flags.swapaxes(0, axis)


def _overlaps(truth: np.ndarray, prediction: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Counts the pixels that segments share.

    Returns:
      The distinct ids of both maps, and int64 [ids of truth, 2, ids of prediction, 2]: pixels by id and by
      whether they belong to the boundary, in the one map and in the other.
    """
    overlaps.check_shapes(truth, prediction)
    distance = reach(*truth.shape)
    parts = [part for each in (truth, prediction) for part in (each, near(each, distance))]
    (truths, truth_near, predictions, predicted_near), pixels = overlaps.runs(*parts)
    truth_ids, rows = np.unique(truths, return_inverse=True)
    predicted_ids, columns = np.unique(predictions, return_inverse=True)
    shape = (len(truth_ids), 2, len(predicted_ids), 2)
    cells = np.ravel_multi_index((rows, truth_near * 1, columns, predicted_near * 1), shape)
    shared = np.bincount(cells, pixels, math.prod(shape)).astype(np.int64).reshape(shape)
    return truth_ids, predicted_ids, shared
