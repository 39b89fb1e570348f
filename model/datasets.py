# SPDX-License-Identifier: Apache-2.0
"""The data sets: classes, colours, label numbers, splits."""

import collections
import dataclasses
import functools
import importlib.resources
import json
import pathlib
import types
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from panpipe.model import errors, labels
from panpipe.model.storage import addresses, files, reach


@dataclasses.dataclass(frozen=True)
class Layout:
    """Names the code that knows how a data set is laid out.

    Attributes:
      source: module that lists its raw files, as `pipelines.sources.coco`.
      format: form in which its official evaluator takes predictions, a key of `pipelines.formats.registry`.
    """

    source: str
    format: str


LAYOUTS: Mapping[str, Layout] = types.MappingProxyType(
    {
        'cityscapes': Layout('panpipe.pipelines.sources.cityscapes', 'cityscapes'),
        'coco': Layout('panpipe.pipelines.sources.coco', 'coco'),
        'ade20k': Layout('panpipe.pipelines.sources.ade20k', 'coco'),
    }
)
_LARGEST_OFFICIAL_ID = 2**16 - 1  # what a grey PNG can hold


@dataclasses.dataclass(frozen=True)
class Category:
    """Describes one class.

    Attributes:
      id: class id inside panpipe (the channel of the semantic head).
      name: as the data set calls it.
      color: (red, green, blue), 0 .. 255.
      is_thing: its objects are instances.
      official_id: class id in the official evaluator's files.

    Raises:
      ValueError: a number is out of range.
    """

    id: int
    name: str
    color: tuple[int, int, int]
    is_thing: bool
    official_id: int

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not isinstance(self.is_thing, bool):
            raise ValueError(
                f'category {self.id} has name {self.name!r} and is_thing {self.is_thing!r}; '
                'they must be a text and true or false'
            )
        if not all(0 <= value <= 255 for value in self.color):
            raise ValueError(
                f'the color of {self.name} is {list(self.color)}; it is three numbers of 0 .. 255'
            )
        if not 0 <= self.official_id <= _LARGEST_OFFICIAL_ID:
            raise ValueError(
                f'official_id of {self.name} is {self.official_id}; it must be 0 .. {_LARGEST_OFFICIAL_ID}'
            )


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

    Raises:
      ValueError: an id is given twice or out of range, or the layout is unknown.
    """

    name: str
    layout: str
    labels: labels.LabelSpec
    categories: tuple[Category, ...]
    splits: Mapping[str, int]
    official_void: int = 0

    def __post_init__(self) -> None:
        if self.layout not in LAYOUTS:
            raise ValueError(f'layout is {self.layout!r}; it must be one of {", ".join(LAYOUTS)}')
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


def _categories(entries: Sequence[Mapping[str, Any]]) -> tuple[Category, ...]:
    return tuple(
        Category(
            e['id'], e['name'], (e['color'][0], e['color'][1], e['color'][2]), e['is_thing'], e['official_id']
        )
        for e in entries
    )


def _shipped(file: str) -> tuple[Category, ...]:
    text = importlib.resources.files('panpipe.model').joinpath('categories', file).read_text()
    return _categories(json.loads(text))


def _spec(
    name: str,
    layout: str,
    label_divisor: int,
    ignore_label: int,
    splits: Mapping[str, int],
    official_void: int = 0,
) -> DatasetSpec:
    categories = _shipped(f'{name.removesuffix("_panoptic")}.json')
    things = tuple(c.id for c in categories if c.is_thing)
    spec = labels.LabelSpec(categories[-1].id + 1, things, label_divisor, ignore_label)
    return DatasetSpec(name, layout, spec, categories, types.MappingProxyType(dict(splits)), official_void)


SPECS: Mapping[str, DatasetSpec] = types.MappingProxyType(
    {
        spec.name: spec
        for spec in (
            _spec('cityscapes_panoptic', 'cityscapes', 1000, 255, {'train': 2975, 'val': 500, 'test': 1525}),
            _spec('coco_panoptic', 'coco', 256, 0, {'train': 118287, 'val': 5000, 'test': 40670}),
            _spec('ade20k_panoptic', 'ade20k', 1000, 0, {'train': 20210, 'val': 2000}, official_void=255),
        )
    }
)


def find(name: str) -> DatasetSpec:
    """Finds a shipped data set by name, or reads a custom one from a JSON file.

    The JSON file of a custom data set holds `layout` (a key of LAYOUTS), `num_classes`,
    `label_divisor`, `ignore_label` and `categories`, a list of objects with the fields of `Category`.

    Raises:
      errors.InputError: no data set has that name, or the file is not such a description.
    """
    if name in SPECS:
        return SPECS[name]
    if not name.endswith('.json'):
        raise errors.InputError(
            f'unknown data set {name!r}; it is one of {", ".join(SPECS)}, or the path of a .json description'
        )
    try:
        facts = json.loads(_text(name))
        categories = _categories(sorted(facts['categories'], key=lambda entry: entry['id']))
        things = tuple(c.id for c in categories if c.is_thing)
        numbers = labels.LabelSpec(
            facts['num_classes'], things, facts['label_divisor'], facts['ignore_label']
        )
        splits = types.MappingProxyType({'train': 0, 'val': 0, 'test': 0})
        return DatasetSpec(name, facts['layout'], numbers, categories, splits, facts.get('official_void', 0))
    except OSError as error:
        raise errors.InputError(f'cannot read the data set description {name}: {error.strerror}') from error
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise errors.InputError(
            f'{name} does not describe a data set ({type(error).__name__}: {error}); '
            'it needs layout, num_classes, label_divisor, ignore_label and categories'
        ) from error


def _text(name: str) -> bytes:
    """Reads a description; JSON takes bytes with a byte order mark."""
    if not addresses.is_remote(name):
        return pathlib.Path(name).read_bytes()
    reach.check('--dataset', name)
    return files.read(name)
