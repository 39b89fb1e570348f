# SPDX-License-Identifier: Apache-2.0
"""Where a prediction is wrong, pixel by pixel, in the terms of panoptic quality."""

import enum

import numpy as np

from panpipe.model import labels as label_codec
from panpipe.model.metrics import matching, overlaps


class Error(enum.IntEnum):
    """Names the kinds of errors of a pixel."""

    NONE = 0
    VOID = 1  # not judged: void, or crowd of a thing class
    MISSED = 2  # of a segment that no prediction matches
    INVENTED = 3  # of a predicted segment that matches none
    CONFUSED = 4  # both
    BORDER = 5  # of two matched segments, but not of each other


# By Error: readable for the colour-blind too (Okabe and Ito, 2008).
COLORS = np.array(
    [(0, 0, 0), (110, 110, 110), (0, 114, 178), (213, 94, 0), (204, 121, 167), (240, 228, 66)], np.uint8
)
NAMES = {
    Error.MISSED: 'missed (false negative)',
    Error.INVENTED: 'invented (false positive)',
    Error.CONFUSED: 'missed and invented',
    Error.BORDER: 'border of a match',
    Error.VOID: 'void or crowd, not judged',
}


def errors(truth: np.ndarray, prediction: np.ndarray, labels: label_codec.LabelSpec) -> np.ndarray:
    """Classifies pixels of two panoptic maps, integer [height, width]: uint8 [height, width] of `Error`.

    Segments match as for panoptic quality (`metrics.matching`).
    """
    (true_ids, true), (predicted_ids, predicted) = overlaps.compact(truth), overlaps.compact(prediction)
    shape = len(true_ids), len(predicted_ids)
    joint = np.bincount((true * shape[1] + predicted).ravel(), minlength=shape[0] * shape[1]).reshape(shape)
    found = matching.Matching.of(true_ids, predicted_ids, joint, labels)
    is_found = np.asarray(found.is_match.any(axis=1))
    is_invented = found.is_segment & ~found.is_match.any(axis=0)
    table = np.full(shape, Error.BORDER, np.uint8)
    table[~is_found] = Error.MISSED
    table[:, is_invented] = np.where(is_found[:, None], Error.INVENTED, Error.CONFUSED)
    table[:, ~found.is_segment] = Error.MISSED
    table[found.is_match] = Error.NONE
    table[found.is_void | found.is_crowd] = Error.VOID
    return table[true, predicted]


def class_errors(truth: np.ndarray, prediction: np.ndarray, labels: label_codec.LabelSpec) -> np.ndarray:
    """Classifies pixels as `errors` does, but all that is of one class counts as one segment."""
    return errors(_one_of_each(truth, labels), _one_of_each(prediction, labels), labels)


def picture(image: np.ndarray, found: np.ndarray) -> np.ndarray:
    """Draws errors over the image in grey: both [height, width, …], the result uint8 [height, width, 3]."""
    grey = np.repeat(image.mean(axis=2, keepdims=True), 3, axis=2)
    color = COLORS[found].astype(np.float32)
    share = np.where(found == Error.NONE, 0.0, 0.75)[..., None]
    return (grey * (1 - share) + color * share).astype(np.uint8)


def _one_of_each(panoptic: np.ndarray, labels: label_codec.LabelSpec) -> np.ndarray:
    semantic = labels.decode(panoptic)[0]
    return np.where(semantic == labels.ignore_label, labels.void, labels.encode(semantic, 1))
