# SPDX-License-Identifier: Apache-2.0
"""Panoptic quality by the size of segments: small, medium and large, with COCO's limits.

A matched or missed segment goes by its area in the ground truth, a wrongly predicted one by its own. Areas
are pixels at the image's own size, void included. The three add up to the counts without regard to size.

Source: limits of https://cocodataset.org/#detection-eval, section 2.
"""

import dataclasses
import types
from collections.abc import Mapping

import numpy as np

from panpipe.model import labels as label_codec
from panpipe.model.metrics import quality

_SMALL, _MEDIUM = 32**2, 96**2
# Segments of `first <= area < last` pixels.
RANGES: Mapping[str, tuple[int, int]] = types.MappingProxyType(
    {'small': (0, _SMALL), 'medium': (_SMALL, _MEDIUM), 'large': (_MEDIUM, np.iinfo(np.int64).max)}
)


def from_maps(
    ground_truth: np.ndarray, prediction: np.ndarray, labels: label_codec.LabelSpec
) -> tuple[quality.PanopticQuality, ...]:
    """Counts one image, as `PanopticQuality.from_maps` does, once for each of RANGES.

    What is of another size becomes a class of its own: it keeps its part in unions, but matches nothing.
    """
    other = labels.num_classes + (labels.ignore_label == labels.num_classes)
    wider = dataclasses.replace(labels, num_classes=other + 1)
    areas = [np.bincount(panoptic.ravel()) for panoptic in (ground_truth, prediction)]
    found = []
    for bounds in RANGES.values():
        truths = _others_apart(areas[0], bounds, wider, keep_crowd=True)[ground_truth]
        predicted = _others_apart(areas[1], bounds, wider, keep_crowd=False)[prediction]
        matched = quality.PanopticQuality.from_maps(truths, prediction, wider)
        wrong = quality.PanopticQuality.from_maps(ground_truth, predicted, wider)
        counts = np.stack([*matched.counts[:2], wrong.counts[2]])
        n = labels.num_classes
        found.append(quality.PanopticQuality(matched.is_thing[:n], matched.iou[:n], counts[:, :n]))
    return tuple(found)


def _others_apart(
    areas: np.ndarray, bounds: tuple[int, int], labels: label_codec.LabelSpec, *, keep_crowd: bool
) -> np.ndarray:
    """Maps panoptic ids to themselves, or to the last class if the segment is of another size: int32 [ids].

    Void stays, and so does crowd where it has a meaning.
    """
    ids = np.arange(len(areas), dtype=np.int32)
    classes, instances = labels.decode(ids)
    is_fixed = classes == labels.ignore_label
    if keep_crowd:
        is_fixed |= (instances == 0) & np.isin(classes, labels.thing_ids)
    is_other = ~is_fixed & ((areas < bounds[0]) | (areas >= bounds[1]))
    return np.where(is_other, np.int32(labels.encode(labels.num_classes - 1, 0)), ids)
