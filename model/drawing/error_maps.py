# SPDX-License-Identifier: Apache-2.0
"""Where a prediction is wrong, pixel by pixel, in the terms of panoptic quality."""

import enum

import numpy as np

from panpipe.model import labels as label_specs


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


def errors(truth: np.ndarray, prediction: np.ndarray, labels: label_specs.LabelSpec) -> np.ndarray:
    """Classifies pixels of two panoptic maps, integer [height, width]: uint8 [height, width] of `Error`.

    Segments match as for panoptic quality: of one class, with an IoU above one half outside void.
    """
    true_ids, true = np.unique(truth, return_inverse=True)
    predicted_ids, predicted = np.unique(prediction, return_inverse=True)
    shape = len(true_ids), len(predicted_ids)
    shared = np.bincount((true * shape[1] + predicted).ravel(), minlength=shape[0] * shape[1]).reshape(shape)
    is_void = _is_void(true_ids, labels)
    semantic = [labels.decode(ids)[0] for ids in (true_ids, predicted_ids)]
    labelled = shared[semantic[0] != labels.ignore_label].sum(axis=0)
    union = shared.sum(axis=1)[:, None] + labelled[None] - shared
    is_match = (semantic[0][:, None] == semantic[1][None]) & (2 * shared > union) & ~is_void[:, None]
    is_found, is_right = is_match.any(axis=1), is_match.any(axis=0)
    is_class = semantic[1] != labels.ignore_label
    table = np.full(shape, Error.BORDER, np.uint8)
    table[~is_found] = Error.MISSED
    table[:, ~is_right & is_class] = np.where(is_found[:, None], Error.INVENTED, Error.CONFUSED)
    table[:, ~is_class] = Error.MISSED
    table[is_match] = Error.NONE
    table[is_void] = Error.VOID
    return table[true, predicted].reshape(truth.shape)


def class_errors(truth: np.ndarray, prediction: np.ndarray, labels: label_specs.LabelSpec) -> np.ndarray:
    """Classifies pixels as `errors` does, but all that is of one class counts as one segment."""
    return errors(_one_of_each(truth, labels), _one_of_each(prediction, labels), labels)


def picture(image: np.ndarray, found: np.ndarray) -> np.ndarray:
    """Draws errors over the image in grey: both [height, width, …], the result uint8 [height, width, 3]."""
    grey = np.repeat(image.mean(axis=2, keepdims=True), 3, axis=2)
    color = COLORS[found].astype(np.float32)
    share = np.where(found == Error.NONE, 0.0, 0.75)[..., None]
    return (grey * (1 - share) + color * share).astype(np.uint8)


def _one_of_each(panoptic: np.ndarray, labels: label_specs.LabelSpec) -> np.ndarray:
    semantic = labels.decode(panoptic)[0]
    return np.where(semantic == labels.ignore_label, labels.void, labels.encode(semantic, 1))


def _is_void(ids: np.ndarray, labels: label_specs.LabelSpec) -> np.ndarray:
    semantic, instance = labels.decode(ids)
    return (semantic == labels.ignore_label) | (np.isin(semantic, labels.thing_ids) & (instance == 0))
