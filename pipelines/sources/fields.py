# SPDX-License-Identifier: Apache-2.0
"""Reads JSON files that people bring: each value is of the type that its reader expects, or is named."""

import dataclasses
import json
import math
from collections.abc import Iterator, Mapping
from typing import Any, Self

from panpipe.model import errors
from panpipe.pipelines.sources import streams

_MOST_SHOWN = 120  # characters of an entry
_IDENTITY_LIMIT = 2**63
_NONE: streams.Replacements = {}


@dataclasses.dataclass(frozen=True)
class Fields:
    """Reads the fields of one object of a JSON file. Each method raises errors.InputError.

    Attributes:
      told: the object.
      where: the file, and what part of it.
      noun: what the object is, for example 'segment'.
    """

    told: Mapping[str, Any]
    where: str
    noun: str

    @classmethod
    def of(cls, told: Any, where: str, noun: str) -> Self:
        """Takes a value that must be an object."""
        if not isinstance(told, dict):
            raise errors.InputError(f'{where}: the {noun} {short(told)} must be an object; correct the file')
        return cls(told, where, noun)

    def whole(self, name: str) -> int:
        """Returns a whole number."""
        value = self._value(name)
        if type(value) is not int:
            raise self.wrong(name, 'a whole number')
        return value

    def number(self, name: str) -> float:
        """Returns a number that is finite and not negative; a whole one as an integer."""
        value: int | float = self._value(name)
        if type(value) is int and value >= 0:
            return value
        if type(value) is not float or not math.isfinite(value) or value < 0:
            raise self.wrong(name, 'a number from 0 on')
        return int(value) if value.is_integer() else value

    def pixels(self, name: str) -> int:
        """Returns the side of an image, which some tools write as 640.0."""
        value = self.number(name)
        if type(value) is not int or value < 1:
            raise self.wrong(name, 'a number of pixels')
        return value

    def flag(self, name: str) -> bool | None:
        """Returns a value of 0, 1, false or true; None where it is absent or null."""
        value = self.told.get(name)
        if value is not None and (type(value) not in (int, bool) or value not in (0, 1)):
            raise self.wrong(name, '0 or 1')
        return None if value is None else bool(value)

    def text(self, name: str) -> str:
        """Returns a text that is not empty and can be part of a path."""
        value = self._value(name)
        if type(value) is not str or not value or not is_printable(value):
            raise self.wrong(name, 'a text')
        return value

    def identity(self, name: str) -> str | int:
        """Returns a whole number, of 64 bits as records hold it, or a text: the id of an image."""
        value = self._value(name)
        if is_number(value):
            return int(value)
        if type(value) is not str:
            raise self.wrong(name, 'a whole number of at most 63 bits, or a text')
        return self.text(name)

    def objects(self, name: str, noun: str) -> Iterator['Fields']:
        """Yields the objects of a list."""
        value = self._value(name)
        if not isinstance(value, list):
            raise self.wrong(name, 'a list')
        return (Fields.of(one, self.where, noun) for one in value)

    def wrong(self, name: str, kind: str) -> errors.InputError:
        """Makes the error of a field whose value is not of a kind."""
        return errors.InputError(
            f'{self.where}: {name} of the {self.noun} {short(self.told)} must be {kind}; correct the file'
        )

    def _value(self, name: str) -> Any:
        if name not in self.told:
            raise errors.InputError(f'{self.where}: the {self.noun} {short(self.told)} has no {name}; add it')
        return self.told[name]


def read(path: str, form: str, needed: tuple[str, ...], replacements: streams.Replacements = _NONE) -> Fields:
    """Reads a JSON file that holds an object with certain lists; it may begin with a byte order mark.

    Args:
      path: of the file.
      form: what the file should be, for example 'a panoptic JSON file of the COCO form'.
      needed: names of the lists.
      replacements: make of an element of the list of that name what is kept of it.

    Raises:
      errors.InputError: the file cannot be read, or is of another form.
    """
    problem = None
    try:
        content = streams.read(path, replacements)
    except (ValueError, RecursionError) as error:
        if isinstance(error, errors.InputError):
            raise
        problem = f'{type(error).__name__}: {error}'
    else:
        if not isinstance(content, dict):
            problem = 'it holds no object'
        else:
            missing = [name for name in needed if not isinstance(content.get(name), list)]
            problem = f'it has no list of {missing[0]}' if missing else None
    if problem:
        raise errors.InputError(f'{path} is not {form} ({problem}); fetch it again')
    return Fields(content, path, 'file')


def short(told: Any) -> str:
    """Writes a value for an error message, the beginning of it if it is long."""
    text = json.dumps(told, default=str)  # of what has been replaced already
    return text if len(text) <= _MOST_SHOWN else f'{text[:_MOST_SHOWN]}…'


def is_number(told: Any) -> bool:
    """Tells whether a value is a whole number that 64 bits hold."""
    return type(told) is int and abs(told) < _IDENTITY_LIMIT


def is_printable(text: str) -> bool:
    """Tells whether a text can be a path or a part of one: no NUL, and nothing that UTF-8 cannot hold."""
    try:
        return b'\0' not in text.encode()
    except UnicodeEncodeError:
        return False
