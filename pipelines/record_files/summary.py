# SPDX-License-Identifier: Apache-2.0
"""Turns counts of records into statistics, with advice on crop size and class weights."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from panpipe.model import datasets, errors
from panpipe.model.metrics import data_statistics

_QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)


def summarize(values: Mapping[str, np.ndarray], spec: datasets.DatasetSpec) -> data_statistics.Statistics:
    """Turns the values of `label_counts.analyze` into the content of statistics.json.

    Raises:
      errors.InputError: there is no record, a label is damaged, or ids are none of the data set's.
    """
    pixels = values['pixels'].astype(np.int64)
    images, labelled = int(values['images'][0]), int(values['labelled'][0])
    if not images:
        raise errors.InputError('the records hold no image; check --input')
    if values['unreadable'][0]:
        raise errors.InputError(
            f'{int(values["unreadable"][0])} of {labelled} labels are damaged or hold no instances; '
            'run panpipe convert again'
        )
    if pixels[-1]:
        raise errors.InputError(
            f'{int(pixels[-1])} pixels have ids that {spec.name} does not have; check --dataset'
        )
    height, width = (_extent(values, side, images) for side in ('height', 'width'))
    return data_statistics.Statistics(
        dataset=spec.name,
        description=spec.copied.description,
        images=images,
        labelled_images=labelled,
        height=height,
        width=width,
        crop_size=(data_statistics.crop_side(height.max), data_statistics.crop_side(width.max)),
        void_share=_ratio(pixels[-2], pixels.sum()),
        crowd_segments=int(values['crowds'].sum()),
        instances=_instances(values, labelled),
        classes=_classes(values, spec),
    )


def class_weights(pixels: np.ndarray) -> np.ndarray:
    """Computes inverse frequencies [n], scaled to a mean of 1 over classes with pixels; 0 for the others."""
    is_present = pixels > 0
    weights = np.divide(1.0, pixels, out=np.zeros(len(pixels)), where=is_present)
    return weights / weights[is_present].mean() if is_present.any() else weights


def _extent(values: Mapping[str, np.ndarray], name: str, count: int) -> data_statistics.Extent:
    smallest, total, largest = (int(values[f'{name}_{end}'][0]) for end in ('min', 'sum', 'max'))
    return data_statistics.Extent(smallest, total / count, largest)


def _ratio(part: Any, whole: Any) -> float:
    return float(part / whole) if whole else 0.0


def _instances(values: Mapping[str, np.ndarray], labelled: int) -> data_statistics.Instances:
    total = int(values['instances'].sum())
    per_image = data_statistics.PerImage(_ratio(total, labelled), int(values['instances_max'][0]))
    return data_statistics.Instances(total, per_image, _areas(values, total) if total else None)


def _areas(values: Mapping[str, np.ndarray], total: int) -> data_statistics.Areas:
    quantiles = values['area_quantiles']
    steps = len(quantiles) + 1
    named = {f'{q:g}': float(quantiles[round(q * steps) - 1]) for q in _QUANTILES}
    one = _extent(values, 'area', total)
    return data_statistics.Areas(one.min, one.mean, one.max, named)


def _classes(
    values: Mapping[str, np.ndarray], spec: datasets.DatasetSpec
) -> tuple[data_statistics.ClassCounts, ...]:
    ids = [category.id for category in spec.categories]
    counted = values['pixels'][ids]
    weights = class_weights(counted)
    return tuple(
        data_statistics.ClassCounts(
            id=category.id,
            name=category.name,
            is_thing=category.is_thing,
            pixels=int(count),
            share=_ratio(count, values['pixels'].sum()),
            images=int(values['occurrences'][category.id]),
            instances=int(values['instances'][category.id]),
            crowds=int(values['crowds'][category.id]),
            weight=float(weight),
        )
        for category, count, weight in zip(spec.categories, counted, weights, strict=True)
    )
