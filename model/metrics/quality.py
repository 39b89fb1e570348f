# SPDX-License-Identifier: Apache-2.0
"""The metrics: panoptic quality and intersection over union, as values that add up.

`from_maps` counts one image, `+` joins counts, `result` turns them into figures. Counts are exact integers:
joining them in any order and grouping gives the very same figures, in a loop or in a Beam combiner.

Panoptic quality follows the official evaluators (panopticapi, cityscapesScripts):
* void pixels of the ground truth are taken out of a predicted segment before its IoU is formed;
* crowd (a thing class with instance 0, in the ground truth only) is neither matched nor missed;
* an unmatched prediction that lies by more than half in void and in crowd of its class is not counted.
One image's crowds of one class share one id in a panoptic map. An annotation that lists several of them is
therefore judged with all of their pixels; panopticapi then looks at the last one only.

Source: Kirillov et al., Panoptic Segmentation (CVPR 2019), section 4.
"""

import dataclasses
from collections.abc import Sequence
from typing import Self

import numpy as np

from panpipe.model import labels as label_codec
from panpipe.model.metrics import matching, overlaps

# A match's IoU is a float64 in (1/2, 1], and so a multiple of 2^-53: as Python integers they add up exactly.
_IOU_UNIT = 2**53


@dataclasses.dataclass(frozen=True)
class Means:
    """Holds means over the classes that occur in the ground truth or in the prediction, as fractions.

    Attributes:
      pq: panoptic quality.
      sq: segmentation quality, the mean IoU of matched segments.
      rq: recognition quality, the F1 score of matching.
      num_classes: classes averaged; the means are 0 where there are none.
    """

    pq: float
    sq: float
    rq: float
    num_classes: int


@dataclasses.dataclass(frozen=True)
class ClassQuality:
    """Holds the figures of one class, as fractions, and its counts of segments.

    Attributes:
      pq, sq, rq: as in `Means`; 0 for a class that does not occur.
      true_positives, false_negatives, false_positives: matched, missed and wrongly predicted segments.
    """

    pq: float
    sq: float
    rq: float
    true_positives: int
    false_negatives: int
    false_positives: int

    @property
    def is_valid(self) -> bool:
        """Tells whether the class occurs, and so takes part in the means."""
        return self.true_positives + self.false_negatives + self.false_positives > 0


@dataclasses.dataclass(frozen=True)
class PanopticResult(Means):
    """Holds the means over all classes, over things and stuff, and every class by its id."""

    things: Means
    stuff: Means
    per_class: tuple[ClassQuality, ...]


@dataclasses.dataclass(frozen=True)
class SemanticResult:
    """Holds intersections over union, as fractions.

    Attributes:
      miou: mean over the classes that occur in the ground truth or in the prediction, 0 if none does.
      per_class: float64 [num_classes], NaN for a class that does not occur.
    """

    miou: float
    per_class: np.ndarray


@dataclasses.dataclass(frozen=True, eq=False)
class PanopticQuality:
    """Counts matched, missed and wrong segments by class.

    >>> labels = label_codec.LabelSpec(num_classes=2, thing_ids=(1,), label_divisor=10, ignore_label=9)
    >>> truth = np.array([[0, 0, 11, 11], [0, 0, 12, 90]])
    >>> result = PanopticQuality.from_maps(truth, np.array([[0, 0, 15, 15], [0, 0, 0, 0]]), labels).result()
    >>> round(result.pq, 3), result.stuff.pq, round(result.things.pq, 3)
    (0.733, 0.8, 0.667)

    Attributes:
      is_thing: bool [num_classes].
      iou: Python integers [num_classes], sum of the matches' IoUs in units of 2^-53.
      counts: int64 [3, num_classes], true positives, false negatives, false positives.
    """

    is_thing: np.ndarray
    iou: np.ndarray
    counts: np.ndarray

    @classmethod
    def zero(cls, labels: label_codec.LabelSpec) -> Self:
        """Makes the neutral element of `+`."""
        is_thing = labels.thing_table()[: labels.num_classes]
        size = labels.num_classes
        return cls(is_thing, np.full(size, 0, object), np.zeros((3, size), np.int64))

    @classmethod
    def missed(cls, classes: Sequence[int], labels: label_codec.LabelSpec) -> Self:
        """Counts segments of the ground truth that no prediction can match, such as those without pixels."""
        nothing = cls.zero(labels)
        found = np.bincount(np.array(classes, np.int64), minlength=labels.num_classes)
        return cls(nothing.is_thing, nothing.iou, nothing.counts + np.outer([0, 1, 0], found))

    @classmethod
    def from_maps(
        cls, ground_truth: np.ndarray, prediction: np.ndarray, labels: label_codec.LabelSpec
    ) -> Self:
        """Counts one image.

        Args:
          ground_truth: integer [height, width], panoptic ids with crowd as instance 0 of a thing class.
          prediction: integer [height, width], panoptic ids.
          labels: what the ids mean.

        Raises:
          ValueError: the maps differ in shape, or hold an id that is neither of a class nor void.
        """
        return cls.from_overlaps(*overlaps.between(ground_truth, prediction), labels)

    @classmethod
    def from_overlaps(
        cls,
        truth_ids: np.ndarray,
        predicted_ids: np.ndarray,
        joint: np.ndarray,
        labels: label_codec.LabelSpec,
        limit: np.ndarray | float = 1.0,
    ) -> Self:
        """Counts one image by what its segments share; the arguments are those of `matching.Matching.of`.

        Raises:
          ValueError: an id is neither of a class nor void.
        """
        found = matching.Matching.of(truth_ids, predicted_ids, joint, labels, limit)
        is_match, area = found.is_match, joint.sum(0)
        same = found.truth_class[:, None] == found.predicted_class
        crowded = (joint * (same & found.is_crowd[:, None])).sum(0)
        ignored = joint[found.is_void].sum(0) + crowded

        rows, columns = np.nonzero(is_match)
        sums = np.full(labels.num_classes, 0, object)
        for row, column in zip(rows, columns, strict=True):
            sums[found.truth_class[row]] += int(found.iou[row, column] * _IOU_UNIT)
        is_wrong = found.is_segment & ~is_match.any(0) & (2 * ignored <= area)
        groups = (
            found.truth_class[rows],
            found.truth_class[~(found.is_void | found.is_crowd | is_match.any(1))],
            found.predicted_class[is_wrong],
        )
        counts = np.stack([np.bincount(group, minlength=labels.num_classes) for group in groups])
        return cls(labels.thing_table()[: labels.num_classes], sums, counts)

    def __add__(self, other: Self) -> Self:
        """Joins the counts of two sets of images of one data set."""
        if not np.array_equal(self.is_thing, other.is_thing):
            raise ValueError('cannot add panoptic qualities of different classes; use one LabelSpec for both')
        return type(self)(self.is_thing, self.iou + other.iou, self.counts + other.counts)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, PanopticQuality) and all(
            np.array_equal(getattr(self, field.name), getattr(other, field.name))
            for field in dataclasses.fields(self)
        )

    def result(self) -> PanopticResult:
        """Computes the figures."""
        per_class = tuple(self._class_quality(i) for i in range(len(self.is_thing)))
        every = _means(per_class)
        things = _means([per_class[i] for i in np.flatnonzero(self.is_thing)])
        stuff = _means([per_class[i] for i in np.flatnonzero(~self.is_thing)])
        return PanopticResult(every.pq, every.sq, every.rq, every.num_classes, things, stuff, per_class)

    def _class_quality(self, index: int) -> ClassQuality:
        true_positives, false_negatives, false_positives = self.counts[:, index].tolist()
        sq = self.iou[index] / _IOU_UNIT / max(true_positives, 1)
        weight = true_positives + (false_negatives + false_positives) / 2
        rq = true_positives / weight if weight else 0.0
        return ClassQuality(sq * rq, sq, rq, true_positives, false_negatives, false_positives)


@dataclasses.dataclass(frozen=True, eq=False)
class ConfusionMatrix:
    """Counts pixels by true and predicted class.

    Pixels whose true label is void, or no class at all, are not counted. A predicted label that is no class
    (255 for Cityscapes) fills a column of its own: a missed pixel of the true class and nothing more, as in
    cityscapesScripts. Where void is one of the channels (0 for COCO), predicting it on a labelled pixel
    makes that class occur, with IoU 0, as in DeepLab2.

    Attributes:
      counts: int64 [num_classes, num_classes + 1], pixels by [true class, predicted class].
    """

    counts: np.ndarray

    @classmethod
    def zero(cls, labels: label_codec.LabelSpec) -> Self:
        """Makes the neutral element of `+`."""
        return cls(np.zeros((labels.num_classes, labels.num_classes + 1), np.int64))

    @classmethod
    def from_maps(
        cls, ground_truth: np.ndarray, prediction: np.ndarray, labels: label_codec.LabelSpec
    ) -> Self:
        """Counts one image; both maps hold class ids, integer [height, width].

        Raises:
          ValueError: the maps differ in shape.
        """
        overlaps.check_shapes(ground_truth, prediction)
        (truth, predicted), pixels = overlaps.runs(ground_truth, prediction)
        size = labels.num_classes
        truth, predicted = truth.astype(np.int64), predicted.astype(np.int64)  # whatever maps are made of
        truth = np.where((truth < 0) | (truth >= size) | (truth == labels.ignore_label), size, truth)
        predicted = np.where((predicted < 0) | (predicted >= size), size, predicted)
        joint = np.bincount(truth * (size + 1) + predicted, pixels, (size + 1) ** 2)
        return cls(joint.reshape(size + 1, size + 1)[:size].astype(np.int64))

    def __add__(self, other: Self) -> Self:
        """Joins the counts of two sets of images of one data set."""
        if self.counts.shape != other.counts.shape:
            raise ValueError(f'cannot add confusions of {self.counts.shape} and {other.counts.shape} classes')
        return type(self)(self.counts + other.counts)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ConfusionMatrix) and np.array_equal(self.counts, other.counts)

    def result(self) -> SemanticResult:
        """Computes the figures."""
        correct = np.diagonal(self.counts)
        union = self.counts.sum(1) + self.counts.sum(0)[:-1] - correct
        per_class = np.where(union > 0, correct / np.maximum(union, 1), np.nan)
        return SemanticResult(float(np.nanmean(per_class)) if union.any() else 0.0, per_class)


def _means(classes: Sequence[ClassQuality]) -> Means:
    valid = [one for one in classes if one.is_valid]
    pq, sq, rq = (
        sum(getattr(one, name) for one in valid) / max(len(valid), 1) for name in ('pq', 'sq', 'rq')
    )
    return Means(pq, sq, rq, len(valid))
