# SPDX-License-Identifier: Apache-2.0
"""The data sets: classes, colours, label numbers, splits."""

import collections
import dataclasses
import functools
import importlib.resources
import json
import types
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from panpipe.model import errors, labels
from panpipe.model.storage import (
    addresses,
    description_files,
    descriptions,
    exported,
    files,
    manifest,
    reach,
    typed_json,
    vistas_config,
)


@dataclasses.dataclass(frozen=True)
class Layout:
    """Names the code that knows how a data set is laid out.

    Attributes:
      source: module that lists its raw files, as `pipelines.sources.coco`.
      format: form in which its official evaluator takes predictions, a key of `pipelines.formats.registry`.
      unjudged: the official measure of such data sets, where panpipe has no evaluator for it.
    """

    source: str
    format: str
    unjudged: str = ''


LAYOUTS: Mapping[str, Layout] = types.MappingProxyType(
    {
        'cityscapes': Layout('panpipe.pipelines.sources.cityscapes', 'cityscapes'),
        'coco': Layout('panpipe.pipelines.sources.coco', 'coco'),
        'coco_instances': Layout('panpipe.pipelines.sources.coco_instances', 'coco'),
        'ade20k': Layout('panpipe.pipelines.sources.ade20k', 'coco'),
        'vistas_v1.2': Layout('panpipe.pipelines.sources.vistas', 'coco'),
        'vistas_v2.0': Layout('panpipe.pipelines.sources.vistas', 'coco'),
        'step': Layout(
            'panpipe.pipelines.sources.step', 'coco', 'STQ, which follows things through sequences'
        ),
    }
)
Category = descriptions.Category
# Which of two instances has the pixels of both.
OVERLAPS: Mapping[str, str] = types.MappingProxyType(
    {
        'smaller_first': 'the one of the smaller area',
        'annotation_order': 'the one that the file lists later',
        'error': 'none: such a file is refused',
    }
)
# Files that hold a copy of a description, in the folders of records, runs and SavedModels.
RUN_COPY = 'dataset.json'
_COPIES = (manifest.NAME, RUN_COPY, exported.NAME)
_SPLITS: Mapping[str, int] = types.MappingProxyType({'train': 0, 'val': 0, 'test': 0})


@dataclasses.dataclass(frozen=True)
class DatasetSpec:
    """States what the jobs must know of a data set.

    Attributes:
      name: key in configurations, for example 'cityscapes_panoptic'.
      layout: official folder layout of the raw files, a key of LAYOUTS.
      labels: label numbers.
      categories: every class but void, ascending by id.
      splits: split name → images of the full official split (0 where unknown).
      official_void: class id that official files use for void.
      overlap: which of two instances has the pixels of both, a key of OVERLAPS; None refuses such files.
      background: official id of the stuff of pixels that raw files say nothing of; None makes them void.

    Raises:
      ValueError: an id is given twice or out of range, or the layout, overlap or background is unknown.
    """

    name: str
    layout: str
    labels: labels.LabelSpec
    categories: tuple[Category, ...]
    splits: Mapping[str, int]
    official_void: int = 0
    overlap: str | None = None
    background: int | None = None

    def __post_init__(self) -> None:
        if self.layout not in LAYOUTS:
            raise ValueError(f'layout is {self.layout!r}; it must be one of {", ".join(LAYOUTS)}')
        if self.overlap not in (None, *OVERLAPS):
            raise ValueError(f'overlap is {self.overlap!r}; it must be one of {", ".join(OVERLAPS)}')
        for name, ids in (
            ('id', [category.id for category in self.categories]),
            ('official_id', [category.official_id for category in self.categories]),
        ):
            if twice := _twice(ids):
                raise ValueError(f'{name} {twice[0]} belongs to two categories')
        void = self.labels.ignore_label
        if void in self.by_id:
            raise ValueError(
                f'ignore_label {void} is the id of {self.by_id[void].name}; void has one of its own'
            )
        wrong = [c for c in self.categories if not 0 <= c.id < self.labels.num_classes]
        if wrong:
            raise ValueError(
                f'id of {wrong[0].name} is {wrong[0].id}; it must be 0 .. num_classes - 1 = '
                f'{self.labels.num_classes - 1}'
            )
        stuff = [category.official_id for category in self.categories if not category.is_thing]
        if self.background not in (None, *stuff):
            raise ValueError(f'background is {self.background}; it must be the official_id of a stuff class')

    @property
    def format(self) -> str:
        """Form in which the official evaluator takes predictions: 'cityscapes' or 'coco'."""
        return LAYOUTS[self.layout].format

    @functools.cached_property
    def from_official(self) -> Mapping[int, Category]:
        """Category by the official evaluator's class id."""
        return types.MappingProxyType({c.official_id: c for c in self.categories})

    @functools.cached_property
    def by_id(self) -> Mapping[int, Category]:
        """Category by panpipe's class id."""
        return types.MappingProxyType({c.id: c for c in self.categories})

    @functools.cached_property
    def description(self) -> descriptions.Description:
        """The data set without its name and its splits, by which two are compared."""
        codec = self.labels
        numbers = codec.num_classes, codec.label_divisor, codec.ignore_label
        drawn = self.overlap, self.background
        return descriptions.Description(self.layout, *numbers, self.categories, self.official_void, *drawn)

    @property
    def copied(self) -> descriptions.Named:
        """What others keep of the data set: its name, and its description where that is not shipped."""
        is_shipped = self.name in SPECS
        return descriptions.Named(self.name, None if is_shipped else self.description)

    def to_official(self) -> np.ndarray:
        """Returns official ids by class id, void elsewhere: int32 [max(num_classes, ignore_label + 1)]."""
        table = np.full(self.labels.thing_table().shape, self.official_void, np.int32)
        for category in self.categories:
            table[category.id] = category.official_id
        return table

    def palette(self) -> np.ndarray:
        """Returns uint8 [max(num_classes, ignore_label + 1), 3]: colour by class id, black for void."""
        table = np.zeros((len(self.labels.thing_table()), 3), np.uint8)
        for category in self.categories:
            table[category.id] = category.color
        return table


def _twice(ids: Iterable[int]) -> list[int]:
    return [i for i, count in collections.Counter(ids).items() if count > 1]


def _shipped(file: str) -> tuple[Category, ...]:
    text = importlib.resources.files('panpipe.model').joinpath('categories', file).read_text()
    return typed_json.decode(tuple[Category, ...], json.loads(text))


def _spec(
    name: str,
    layout: str,
    label_divisor: int,
    ignore_label: int,
    splits: Mapping[str, int],
    official_void: int = 0,
) -> DatasetSpec:
    categories = _shipped(f'{name.removesuffix("_panoptic")}.json')
    told = descriptions.Description(
        layout, categories[-1].id + 1, label_divisor, ignore_label, categories, official_void
    )
    return described(name, told, splits)


def described(name: str, told: descriptions.Description, splits: Mapping[str, int] = _SPLITS) -> DatasetSpec:
    """Makes the data set of a description.

    Raises:
      ValueError: it contradicts itself.
    """
    things = tuple(c.id for c in told.categories if c.is_thing)
    numbers = labels.LabelSpec(told.num_classes, things, told.label_divisor, told.ignore_label)
    splits = types.MappingProxyType(dict(splits))
    rest = told.official_void, told.overlap, told.background
    return DatasetSpec(name, told.layout, numbers, told.categories, splits, *rest)


SPECS: Mapping[str, DatasetSpec] = types.MappingProxyType(
    {
        spec.name: spec
        for spec in (
            _spec('cityscapes_panoptic', 'cityscapes', 1000, 255, {'train': 2975, 'val': 500, 'test': 1525}),
            _spec('coco_panoptic', 'coco', 256, 0, {'train': 118287, 'val': 5000, 'test': 40670}),
            _spec('ade20k_panoptic', 'ade20k', 1000, 0, {'train': 20210, 'val': 2000}, official_void=255),
            _spec('kitti_step', 'step', 1000, 255, {'train': 5027, 'val': 2981, 'test': 11095}, 255),
            _spec('motchallenge_step', 'step', 1000, 255, {'train': 525, 'val': 600, 'test': 0}, 255),
        )
    }
)


def find(name: str) -> DatasetSpec:
    """Finds a shipped data set by name, or a custom one by its description.

    The JSON file of a custom data set holds `layout` (a key of LAYOUTS), `num_classes`,
    `label_divisor`, `ignore_label` and `categories`, a list of objects with the fields of `Category`; maybe
    `official_void`, `overlap` and `background`. In its place serves what keeps a copy: a folder of records,
    the folder of a run, a SavedModel; and the `config_v2.0.json` of Mapillary Vistas.

    Raises:
      errors.InputError: no data set has that name, or the file is not such a description.
    """
    if name in SPECS:
        return SPECS[name]
    path = name if name.endswith('.json') else _copy(name)
    content = description_files.content(path)
    if vistas_config.is_one(content):
        content = vistas_config.description(content, path)
    if 'layout' in content or 'dataset' not in content:
        return _read(name, content, path)
    inner = str(content['dataset'])
    if content.get('description') is not None:
        return _read(inner, content['description'], path)
    return SPECS[inner] if inner in SPECS else _read(inner, description_files.content(inner), inner)


def of_copy(kept: descriptions.Named) -> DatasetSpec | None:
    """Finds the data set that something was made of; None where it is custom and there is no description."""
    try:
        return described(kept.dataset, kept.description) if kept.description else find(kept.dataset)
    except (errors.InputError, ValueError):
        return None


def named(kept: descriptions.Named) -> DatasetSpec:
    """Finds the data set that something was made of.

    Raises:
      errors.InputError: it is custom, was kept without its description, and that is not where it was.
    """
    return of_copy(kept) or find(kept.dataset)


def kept_in(*folders: str) -> tuple[str, DatasetSpec] | None:
    """Finds the first of some folders that keeps a data set, and that; None where none does."""
    folder = next((folder for folder in folders if _kept(folder)), None)
    return (folder, find(folder)) if folder else None


def _kept(folder: str) -> str | None:
    """Finds the file of a folder that names its data set, and holds a copy of a description."""
    paths = [addresses.join(folder, name) for name in _COPIES]
    return next((path for path in paths if files.is_file(path)), None)


def _copy(folder: str) -> str:
    if addresses.is_remote(folder):
        reach.check('--dataset', folder)
    found = _kept(folder)
    if found is None:
        raise errors.InputError(
            f'unknown data set {folder!r}; it is one of {", ".join(SPECS)}, the path of a .json description, '
            'or a folder of records, of a run or of a SavedModel'
        )
    return found


def _read(name: str, content: Any, path: str) -> DatasetSpec:
    try:
        return described(name, descriptions.Description.from_json(content))
    except (KeyError, TypeError, AttributeError, ValueError, IndexError, OverflowError) as error:
        raise description_files.wrong(path, error) from error
