# SPDX-License-Identifier: Apache-2.0
"""What a custom data set is, as its JSON file says it, and as records, models and runs hold a copy of it.

A path may be spelled in many ways, and its file may go. So whatever depends on a data set carries its
description, and two data sets are compared by that.
"""

import dataclasses
import itertools
import json
from collections.abc import Iterator, Mapping
from typing import Any, Self

from panpipe.model.storage import typed_json

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
        if not all(0 <= value <= 255 for value in self.color):
            raise ValueError(
                f'the color of {self.name} is {list(self.color)}; it is three numbers of 0 .. 255'
            )
        if not 0 <= self.official_id <= _LARGEST_OFFICIAL_ID:
            raise ValueError(
                f'official_id of {self.name} is {self.official_id}; it must be 0 .. {_LARGEST_OFFICIAL_ID}'
            )


@dataclasses.dataclass(frozen=True)
class Description:
    """Describes a data set.

    Attributes:
      layout: official folder layout of the raw files.
      num_classes: channels of the semantic head.
      label_divisor: of panoptic ids.
      ignore_label: class id of void.
      categories: every class but void, ascending by id.
      official_void: class id that official files use for void.
      overlap: which of two instances has the pixels of both, where raw files let them overlap.
      background: official id of the class of pixels that raw files say nothing of; void where it is absent.
    """

    layout: str
    num_classes: int
    label_divisor: int
    ignore_label: int
    categories: tuple[Category, ...]
    official_void: int = 0
    overlap: str | None = None
    background: int | None = None

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Self:
        """Reads the content of a file; fields that mean nothing here are left aside.

        Raises:
          KeyError, TypeError, AttributeError, ValueError: it describes no data set.
        """
        told = _known(cls, content)
        told['categories'] = [_known(Category, entry) for entry in content['categories']]
        found = typed_json.decode(cls, told)
        return dataclasses.replace(found, categories=tuple(sorted(found.categories, key=lambda c: c.id)))

    def encoded(self) -> bytes:
        """Writes it as the content of a file."""
        return json.dumps(typed_json.encode(self), indent=2).encode() + b'\n'

    def difference(self, other: Self) -> str:
        """Says how its numbers and classes differ from another one's: the first that do, or an empty text.

        Layouts, colours and what is painted over what may differ: models and predictions stay what they are.
        """
        return next(self._differences(other), '')

    def _differences(self, other: Self) -> Iterator[str]:
        for name in ('num_classes', 'label_divisor', 'ignore_label', 'official_void'):
            mine, yours = getattr(self, name), getattr(other, name)
            if mine != yours:
                yield f'{name} is {mine}, not {yours}'
        for mine, yours in itertools.zip_longest(self.categories, other.categories):
            if mine is None or yours is None:
                rest = mine or yours
                yield f'only one has the class {rest.id}, {rest.name}'
                return
            for field in dataclasses.fields(Category):
                one, two = getattr(mine, field.name), getattr(yours, field.name)
                if one != two and field.name != 'color':
                    yield f'{field.name} of the class {mine.id} ({mine.name}) is {one!r}, not {two!r}'


@dataclasses.dataclass(frozen=True)
class Named:
    """States what something was made of.

    Attributes:
      dataset: name of a shipped data set, or what a custom one was called by.
      description: of a custom one; None in what an earlier version wrote.
    """

    dataset: str
    description: Description | None = None


def _known(kind: Any, told: Mapping[str, Any]) -> dict[str, Any]:
    return {field.name: told[field.name] for field in dataclasses.fields(kind) if field.name in told}
