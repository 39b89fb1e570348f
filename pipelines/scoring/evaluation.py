# SPDX-License-Identifier: Apache-2.0
"""Figures from the counts of the evaluate job, in per cent, and how they are shown."""

import collections
from collections.abc import Mapping
from typing import Any

import numpy as np
from rich import console, table

from panpipe.model import datasets, errors
from panpipe.model.metrics import quality, resampling, sizes, tally
from panpipe.pipelines.scoring import summaries

_MEASURES = ('pq', 'sq', 'rq')
_SHOWN_IMAGES = 10


def figures(counted: tally.Tally, spec: datasets.DatasetSpec, facts: Mapping[str, Any]) -> dict[str, Any]:
    """Makes the content of the JSON file.

    Args:
      counted: all images.
      spec: the data set.
      facts: `evaluator` and what else goes in as it is.

    Returns:
      That of `summaries.summary`, and besides `boundary_pq`, `intervals`, `by_size`, `per_image` and
      `confusion`: pixels by true class (row) and predicted class (column; the last one is none). Measures are
      per cent, null where no class occurs.

    Raises:
      errors.InputError: there is no image, or one twice.
    """
    images = sorted(counted.images, key=lambda image: image.name)
    _check([image.name for image in images])
    panoptic, semantic = counted.panoptic.result(), counted.semantic.result()
    groups = {'all': panoptic, 'things': panoptic.things, 'stuff': panoptic.stuff}
    classes = {category.name: panoptic.per_class[category.id] for category in spec.categories}
    found = {
        'groups': {name: {**_means(one), 'n': one.num_classes} for name, one in groups.items()},
        'per_class': {name: _means(one) for name, one in classes.items() if one.is_valid},
    }
    ious = {category.name: float(semantic.per_class[category.id]) for category in spec.categories}
    ious = {name: iou for name, iou in ious.items() if not np.isnan(iou)}
    miou = semantic.miou if ious else None
    return {
        **facts,
        **summaries.summary(found, miou, ious, facts['evaluator'], len(images)),
        'boundary_pq': _boundary_pq(counted.boundary.result(), spec),
        'intervals': _intervals(images, counted.panoptic.is_thing),
        'by_size': {name: _row(one) for name, one in zip(sizes.RANGES, counted.by_size, strict=True)},
        'per_image': [
            {'image_id': image.name, **_row(image.panoptic), 'miou': _image_miou(image.pixels)}
            for image in images
        ],
        'confusion': {
            'classes': [
                spec.by_id[i].name if i in spec.by_id else '' for i in range(spec.labels.num_classes)
            ],
            'counts': counted.semantic.counts.tolist(),
        },
    }


def show(content: Mapping[str, Any]) -> None:
    """Prints the means, the sizes and the worst images."""
    screen = console.Console()
    screen.print(_groups(content))
    screen.print(_counts('by segment size, per cent', content['by_size']))
    judged = [image for image in content['per_image'] if image['pq'] is not None]
    worst = sorted(judged, key=lambda image: image['pq'])[:_SHOWN_IMAGES]
    title = f'the {len(worst)} worst of {content["num_images"]} images, per cent'
    screen.print(_counts(title, {image['image_id']: image for image in worst}))
    print(f'panpipe evaluate: {content["num_images"]} images, judged by {content["evaluator"]}')


def _check(names: list[str]) -> None:
    if not names:
        raise errors.InputError('--ground_truth holds no image; check it and --split')
    name, count = collections.Counter(names).most_common(1)[0]
    if count > 1:
        raise errors.InputError(
            f'--ground_truth holds the image {name} {count} times; give patterns that match a file once'
        )


def _means(one: quality.Means | quality.ClassQuality) -> dict[str, float]:
    """Returns fractions by name, none where no class occurs."""
    occurs = one.is_valid if isinstance(one, quality.ClassQuality) else one.num_classes > 0
    return {key: getattr(one, key) for key in _MEASURES} if occurs else {}


def _boundary_pq(result: quality.PanopticResult, spec: datasets.DatasetSpec) -> dict[str, Any]:
    """Returns per cent by group of classes, and of each class that occurs."""
    groups = {'all': result, 'things': result.things, 'stuff': result.stuff}
    found = {name: 100 * one.pq if one.num_classes else None for name, one in groups.items()}
    classes = {category.name: result.per_class[category.id] for category in spec.categories}
    return {**found, 'per_class': {name: 100 * one.pq for name, one in classes.items() if one.is_valid}}


def _row(one: quality.PanopticQuality) -> dict[str, Any]:
    """Returns means in per cent and numbers of segments."""
    means = _means(one.result())
    names = ('tp', 'fn', 'fp')
    counts = dict(zip(names, one.counts.sum(1).tolist(), strict=True))
    return {**{key: 100 * means[key] if means else None for key in _MEASURES}, **counts}


def _image_miou(pixels: np.ndarray) -> float | None:
    """Returns the mean IoU in per cent of one image, from its `class_pixels`."""
    right, true, predicted = pixels
    union = true + predicted - right
    return float(100 * np.mean(right[union > 0] / union[union > 0])) if union.any() else None


def _intervals(images: list[tally.Image], is_thing: np.ndarray) -> dict[str, Any]:
    found = resampling.intervals(
        [image.panoptic for image in images], [image.pixels for image in images], is_thing
    )
    return {
        'level': resampling.LEVEL,
        'resamples': resampling.RESAMPLES,
        'pq': {name: _per_cent(pair) for name, pair in found['pq'].items()},
        'miou': _per_cent(found['miou']),
    }


def _per_cent(pair: tuple[float, float] | None) -> list[float] | None:
    return None if pair is None else [100 * end for end in pair]


def _groups(content: Mapping[str, Any]) -> table.Table:
    intervals = content['intervals']
    grid = table.Table(title='per cent', title_justify='left')
    for name in ('', 'PQ', f'{intervals["level"]} %', 'SQ', 'RQ', 'boundary PQ', 'classes'):
        grid.add_column(name, justify='right' if name else 'left')
    for group, number in content['num_classes'].items():
        pq, sq, rq = (_figure(content[key][group]) for key in _MEASURES)
        edges = _figure(content['boundary_pq'][group])
        grid.add_row(group, pq, _range(intervals['pq'][group]), sq, rq, edges, str(number))
    grid.add_section()
    grid.add_row('mIoU', _figure(content['miou']), _range(intervals['miou']))
    return grid


def _counts(title: str, rows: Mapping[str, Mapping[str, Any]]) -> table.Table:
    grid = table.Table(title=title, title_justify='left')
    for name in ('', 'PQ', 'SQ', 'RQ', 'matched', 'missed', 'wrong'):
        grid.add_column(name, justify='right' if name else 'left')
    for name, row in rows.items():
        means = (_figure(row[key]) for key in _MEASURES)
        grid.add_row(name, *means, *(str(row[key]) for key in ('tp', 'fn', 'fp')))
    return grid


def _figure(value: float | None) -> str:
    return '–' if value is None else f'{value:.1f}'


def _range(pair: list[float] | None) -> str:
    return '–' if pair is None else f'{pair[0]:.1f} .. {pair[1]:.1f}'
