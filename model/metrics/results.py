# SPDX-License-Identifier: Apache-2.0
"""The result of an evaluation, as score, evaluate and train write it and report and Kubeflow read it.

All measures are per cent, unrounded; None (null in the file) where no class of a group occurs.
"""

import dataclasses
import math
from collections.abc import Iterator, Mapping
from typing import Self

from panpipe.model.metrics import quality

GROUPS = ('all', 'things', 'stuff')
MEASURES = ('pq', 'sq', 'rq')


@dataclasses.dataclass(frozen=True)
class Groups:
    """Holds one measure: its means over all classes, over things, and over stuff."""

    all: float | None
    things: float | None
    stuff: float | None

    @classmethod
    def of(cls, result: quality.PanopticResult, measure: str) -> Self:
        """Takes one of `MEASURES` from a result."""
        parts = (result, result.things, result.stuff)
        return cls(*(100 * getattr(part, measure) if part.num_classes else None for part in parts))

    def items(self) -> Iterator[tuple[str, float | None]]:
        """Yields name and mean of each group."""
        return ((name, getattr(self, name)) for name in GROUPS)

    def minus(self, other: 'Groups') -> 'Groups':
        """Subtracts group by group, as far as both are defined."""
        return Groups(*(difference(getattr(self, name), getattr(other, name)) for name in GROUPS))


NOTHING = Groups(None, None, None)


@dataclasses.dataclass(frozen=True)
class ClassCounts:
    """Counts the classes that occur."""

    all: int = 0
    things: int = 0
    stuff: int = 0

    @classmethod
    def of(cls, result: quality.PanopticResult) -> Self:
        """Takes the numbers from a result."""
        return cls(result.num_classes, result.things.num_classes, result.stuff.num_classes)


@dataclasses.dataclass(frozen=True)
class ClassFigures:
    """Holds the measures of one class; of a class that does not occur, all are None."""

    pq: float | None
    sq: float | None
    rq: float | None
    iou: float | None


@dataclasses.dataclass(frozen=True)
class Segments:
    """Holds the measures of some segments, and how many matched, were missed, and were wrong."""

    pq: float | None
    sq: float | None
    rq: float | None
    tp: int
    fn: int
    fp: int

    @classmethod
    def of(cls, counted: quality.PanopticQuality) -> Self:
        """Takes all classes together."""
        result = counted.result()
        pq, sq, rq = (100 * getattr(result, name) if result.num_classes else None for name in MEASURES)
        tp, fn, fp = counted.counts.sum(1).tolist()
        return cls(pq, sq, rq, tp, fn, fp)


@dataclasses.dataclass(frozen=True)
class ImageFigures(Segments):
    """Holds the measures of one image, over the classes that occur in it."""

    image_id: str
    miou: float | None


@dataclasses.dataclass(frozen=True)
class ClassPrecision:
    """Holds the average precision of one class of things."""

    ap: float
    ap50: float


@dataclasses.dataclass(frozen=True)
class Precision:
    """Holds average precision of instances; of 'undefined' alone, where there is nothing to judge.

    Attributes:
      undefined: why there are no figures.
      evaluator: program and version that judged.
      ap: mean over IoU thresholds 0.5 … 0.95; others at one threshold, or of small, medium, large segments.
      per_class: by name.
    """

    undefined: str | None = None
    evaluator: str | None = None
    ap: float | None = None
    ap50: float | None = None
    ap75: float | None = None
    ap_small: float | None = None
    ap_medium: float | None = None
    ap_large: float | None = None
    per_class: Mapping[str, ClassPrecision] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Means:
    """Holds panpipe's own means beside the official ones, or by how much they differ."""

    pq: Groups | None = None
    sq: Groups | None = None
    rq: Groups | None = None
    miou: float | None = None


@dataclasses.dataclass(frozen=True)
class BoundaryFigures(Groups):
    """Holds boundary PQ, by group and by the name of a class."""

    per_class: Mapping[str, float]


@dataclasses.dataclass(frozen=True)
class Intervals:
    """Holds confidence intervals (low, high) over the choice of images.

    Attributes:
      level: per cent.
      resamples: how many draws of images they come from.
      pq: by group, None where the group does not occur.
      miou: of mIoU.
    """

    level: int
    resamples: int
    pq: Mapping[str, tuple[float, float] | None]
    miou: tuple[float, float] | None


@dataclasses.dataclass(frozen=True)
class Confusion:
    """Counts pixels by true class (row) and predicted class (column; the last one is none).

    Attributes:
      classes: name of each row, '' for a number without a class.
      counts: [classes, classes + 1].
    """

    classes: tuple[str, ...]
    counts: tuple[tuple[int, ...], ...]

    @classmethod
    def of(cls, counted: quality.ConfusionMatrix, classes: Mapping[str, int]) -> Self:
        """Takes the counts of all classes; `classes` has the numbers of those with a name."""
        names = {number: name for name, number in classes.items()}
        rows = tuple(map(tuple, counted.counts.tolist()))
        return cls(tuple(names.get(number, '') for number in range(len(rows))), rows)


@dataclasses.dataclass(frozen=True)
class Result:
    """Holds what an evaluation found; a section that its job does not make is None.

    Attributes:
      evaluator: program and version that judged.
      num_images: how many images were judged.
      pq: panoptic quality; sq and rq are its segmentation and recognition quality.
      num_classes: how many classes the means go over.
      miou: mean intersection over union of classes.
      per_class: by name, classes that occur.
      ours: panpipe's own means of the same files, where the others are official.
      difference: ours minus the official ones.
      ambiguous_images: with several crowds of one class, of which the official evaluator sees the last alone.
      miou_of: 'semantic' or 'panoptic', the maps that mIoU judges.
      step: of the training.
      losses: mean of each loss over the images.
    """

    evaluator: str
    num_images: int
    pq: Groups
    sq: Groups
    rq: Groups
    num_classes: ClassCounts
    miou: float | None
    per_class: Mapping[str, ClassFigures]
    format: str | None = None
    dataset: str | None = None
    split: str | None = None
    miou_of: str | None = None
    instance: Precision | None = None
    ours: Means | None = None
    difference: Means | None = None
    ambiguous_images: tuple[str | int, ...] | None = None
    boundary_pq: BoundaryFigures | None = None
    by_size: Mapping[str, Segments] | None = None
    intervals: Intervals | None = None
    confusion: Confusion | None = None
    step: int | None = None
    losses: Mapping[str, float | None] | None = None


def defined(value: float) -> float | None:
    """Returns None for what is not a number: a mean of nothing."""
    return None if math.isnan(value) else value


def difference(own: float | None, official: float | None) -> float | None:
    """Subtracts, where both are defined."""
    return None if own is None or official is None else own - official


def of_counts(
    panoptic: quality.PanopticQuality | None,
    semantic: quality.ConfusionMatrix,
    classes: Mapping[str, int],
    evaluator: str,
    num_images: int,
) -> Result:
    """Computes a result from what panpipe counted.

    Args:
      panoptic: counts of segments, None for a semantic-only network.
      semantic: counts of pixels.
      classes: number of each class in these counts, by name.
      evaluator: who counted.
      num_images: how many images were counted.
    """
    segments = panoptic.result() if panoptic else None
    pixels = semantic.result()
    ious = {name: defined(float(pixels.per_class[number])) for name, number in classes.items()}
    figures = {}
    for name, number in classes.items():
        one = segments.per_class[number] if segments else None
        occurs = one is not None and one.is_valid
        if occurs or ious[name] is not None:
            pq, sq, rq = (100 * getattr(one, measure) if occurs else None for measure in MEASURES)
            figures[name] = ClassFigures(pq, sq, rq, per_cent(ious[name]))
    groups = {measure: Groups.of(segments, measure) if segments else NOTHING for measure in MEASURES}
    return Result(
        evaluator,
        num_images,
        groups['pq'],
        groups['sq'],
        groups['rq'],
        ClassCounts.of(segments) if segments else ClassCounts(),
        per_cent(defined(pixels.miou)) if any(iou is not None for iou in ious.values()) else None,
        figures,
    )


def per_cent(fraction: float | None) -> float | None:
    """Multiplies by 100 what is defined."""
    return None if fraction is None else 100 * fraction
