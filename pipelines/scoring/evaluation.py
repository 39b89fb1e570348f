# SPDX-License-Identifier: Apache-2.0
"""Figures from the counts of the evaluate job, in per cent, and how they are shown."""

import collections
import dataclasses
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from rich import console, table

from panpipe.model import datasets, errors
from panpipe.model.metrics import quality, resampling, results, sizes, tally

_SHOWN_IMAGES = 10


class Judged(NamedTuple):
    """Names what was judged, and by whom, as `results.Result` does."""

    evaluator: str
    format: str | None = None
    dataset: str | None = None
    split: str | None = None
    miou_of: str | None = None


class Figures(NamedTuple):
    """Holds the figures of all images, and those of each, by name."""

    result: results.Result
    images: tuple[results.ImageFigures, ...]


def figures(counted: tally.Tally, spec: datasets.DatasetSpec, judged: Judged) -> Figures:
    """Computes all figures from the counts.

    Args:
      counted: all images.
      spec: the data set.
      judged: what, and by whom.

    Raises:
      errors.InputError: there is no image, or one twice.
    """
    images = sorted(counted.images, key=lambda image: image.name)
    _check([image.name for image in images])
    numbers = {category.name: category.id for category in spec.categories}
    result = dataclasses.replace(
        results.of_counts(counted.panoptic, counted.semantic, numbers, judged.evaluator, len(images)),
        format=judged.format,
        dataset=judged.dataset,
        split=judged.split,
        miou_of=judged.miou_of,
        boundary_pq=_boundary_pq(counted.boundary.result(), spec),
        by_size={
            name: results.Segments.of(one) for name, one in zip(sizes.RANGES, counted.by_size, strict=True)
        },
        intervals=_intervals(images, counted.panoptic.is_thing),
        confusion=results.Confusion.of(counted.semantic, numbers),
    )
    return Figures(result, tuple(_image(image) for image in images))


def show(found: Figures) -> None:
    """Prints the means, the sizes and the worst images."""
    screen = console.Console(markup=False)
    screen.print(_groups(found.result))
    screen.print(_counts('by segment size, per cent', found.result.by_size or {}))
    judged = [image for image in found.images if image.pq is not None]
    worst = sorted(judged, key=lambda image: image.pq or 0)[:_SHOWN_IMAGES]
    title = f'the {len(worst)} worst of {found.result.num_images} images, per cent'
    screen.print(_counts(title, {image.image_id: image for image in worst}))
    print(f'panpipe evaluate: {found.result.num_images} images, judged by {found.result.evaluator}')


def _check(names: list[str]) -> None:
    if not names:
        raise errors.InputError('--ground_truth holds no image; check it and --split')
    name, count = collections.Counter(names).most_common(1)[0]
    if count > 1:
        raise errors.InputError(
            f'--ground_truth holds the image {name} {count} times; give patterns that match a file once'
        )


def _boundary_pq(result: quality.PanopticResult, spec: datasets.DatasetSpec) -> results.BoundaryFigures:
    """Returns per cent by group of classes, and of each class that occurs."""
    classes = {category.name: result.per_class[category.id] for category in spec.categories}
    found = {name: 100 * one.pq for name, one in classes.items() if one.is_valid}
    groups = results.Groups.of(result, 'pq')
    return results.BoundaryFigures(groups.all, groups.things, groups.stuff, found)


def _image(image: tally.Image) -> results.ImageFigures:
    """Returns the figures of one image."""
    one = results.Segments.of(image.panoptic)
    counts = one.tp, one.fn, one.fp
    return results.ImageFigures(one.pq, one.sq, one.rq, *counts, image.name, _image_miou(image.pixels))


def _image_miou(pixels: np.ndarray) -> float | None:
    """Returns the mean IoU in per cent of one image, from its `class_pixels`."""
    right, true, predicted = pixels
    union = true + predicted - right
    return float(100 * np.mean(right[union > 0] / union[union > 0])) if union.any() else None


def _intervals(images: list[tally.Image], is_thing: np.ndarray) -> results.Intervals:
    found = resampling.intervals(
        [image.panoptic for image in images], [image.pixels for image in images], is_thing
    )
    return results.Intervals(
        resampling.LEVEL,
        resampling.RESAMPLES,
        {name: _per_cent(pair) for name, pair in found['pq'].items()},
        _per_cent(found['miou']),
    )


def _per_cent(pair: tuple[float, float] | None) -> tuple[float, float] | None:
    return None if pair is None else (100 * pair[0], 100 * pair[1])


def _groups(result: results.Result) -> table.Table:
    grid = table.Table(title='per cent', title_justify='left')
    level = f'{result.intervals.level} %' if result.intervals else ''
    for name in ('', 'PQ', level, 'SQ', 'RQ', 'boundary PQ', 'classes'):
        grid.add_column(name, justify='right' if name else 'left')
    for group in results.GROUPS:
        pq, sq, rq = (_figure(getattr(getattr(result, key), group)) for key in results.MEASURES)
        interval = result.intervals.pq[group] if result.intervals else None
        edges = _figure(getattr(result.boundary_pq, group, None))
        grid.add_row(group, pq, _range(interval), sq, rq, edges, str(getattr(result.num_classes, group)))
    grid.add_section()
    grid.add_row('mIoU', _figure(result.miou), _range(result.intervals.miou if result.intervals else None))
    return grid


def _counts(title: str, rows: Mapping[str, results.Segments]) -> table.Table:
    grid = table.Table(title=title, title_justify='left')
    for name in ('', 'PQ', 'SQ', 'RQ', 'matched', 'missed', 'wrong'):
        grid.add_column(name, justify='right' if name else 'left')
    for name, row in rows.items():
        means = (_figure(mean) for mean in (row.pq, row.sq, row.rq))
        grid.add_row(name, *means, str(row.tp), str(row.fn), str(row.fp))
    return grid


def _figure(value: float | None) -> str:
    return '–' if value is None else f'{value:.1f}'


def _range(pair: tuple[float, float] | None) -> str:
    return '–' if pair is None else f'{pair[0]:.1f} .. {pair[1]:.1f}'
