# SPDX-License-Identifier: Apache-2.0
"""Reads large JSON files piece by piece, so that neither the text nor what is left out of it fills memory.

COCO's training annotations are a quarter of a gigabyte of text, and four times that as dicts.
"""

import codecs
import json
from collections.abc import Callable, Iterator, Mapping
from typing import IO, Any

from panpipe.model.storage import addresses, files

_PIECE = 2**20  # bytes
_SPACE = ' \t\n\r'
Replacements = Mapping[str, Callable[[Any], Any]]


def read(address: addresses.Address, replacements: Replacements) -> Any:
    """Reads a JSON file; where it holds an object, elements of its lists are replaced as they are read.

    Args:
      address: of the file.
      replacements: make of an element of the list of that name what is kept of it.

    Raises:
      errors.InputError: it is missing or must not be read.
      ValueError, RecursionError: it is no JSON.
    """
    try:
        with files.opened(address) as file:
            return _object(_Text(file), replacements)
    except (OSError, ValueError):
        # It may be right after all, in UTF-16 say; else reading it as a whole tells what is wrong.
        return _replaced(json.loads(files.read(address)), replacements)


def _replaced(content: Any, replacements: Replacements) -> Any:
    if isinstance(content, dict):
        for name, replace in replacements.items():
            if isinstance(content.get(name), list):
                content[name] = [replace(one) for one in content[name]]
    return content


def _object(text: '_Text', replacements: Replacements) -> dict[str, Any]:
    found: dict[str, Any] = {}
    text.take('{')
    is_first = True
    while text.next() != '}':
        if not is_first:
            text.take(',')
        name = text.value()
        text.take(':')
        if not isinstance(name, str):
            raise ValueError(name)
        if name in replacements and text.next() == '[':
            found[name] = [replacements[name](one) for one in _list(text)]
        else:
            found[name] = text.value()
        is_first = False
    text.take('}')
    if text.next():
        raise ValueError('something follows')
    return found


def _list(text: '_Text') -> Iterator[Any]:
    text.take('[')
    is_first = True
    while text.next() != ']':
        if not is_first:
            text.take(',')
        yield text.value()
        is_first = False
    text.take(']')


class _Text:
    """Holds the part of a file that is being read."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._decode = codecs.getincrementaldecoder('utf-8-sig')('surrogatepass').decode
        self._scan = json.JSONDecoder().raw_decode
        self._part, self._place, self._piece = '', 0, _PIECE

    def next(self) -> str:
        """Returns the next character that is no space; '' at the end."""
        while True:
            while self._place < len(self._part):
                if (found := self._part[self._place]) not in _SPACE:
                    return found
                self._place += 1
            if not self._more():
                return ''

    def take(self, wanted: str) -> None:
        """Goes past a character that must be the next one."""
        if self.next() != wanted:
            raise ValueError(f'no {wanted}')
        self._place += 1

    def value(self) -> Any:
        """Reads the next value."""
        self.next()
        self._piece = _PIECE
        while True:
            start = self._place
            try:
                found, end = self._scan(self._part, start)
            except ValueError:
                if not self._more():
                    raise
                continue
            if end < len(self._part):
                self._place = end
                return found
            if not self._more():  # else a number at the end of the part may go on
                self._place = end - start
                return found

    def _more(self) -> bool:
        """Reads on, more each time for one value; returns whether there was something."""
        content = self._file.read(self._piece)
        self._piece *= 2
        self._part = self._part[self._place :] + self._decode(content, not content)
        self._place = 0
        return bool(content)
