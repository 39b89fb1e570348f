# SPDX-License-Identifier: Apache-2.0
"""Frozen dataclasses as JSON, read back with every field's type checked.

>>> @dataclasses.dataclass(frozen=True)
... class Span:
...     low: float
...     high: float | None = None
>>> encode(Span(1.0)), decode(Span, {'low': 1, 'high': 2.5})
({'low': 1.0}, Span(low=1.0, high=2.5))
"""

import collections.abc
import dataclasses
import sys
import types
import typing
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

T = TypeVar('T')


def encode(value: Any) -> Any:
    """Makes what `json.dumps` takes; leaves out fields that are None by default."""
    if dataclasses.is_dataclass(value):
        told = ((field, getattr(value, field.name)) for field in dataclasses.fields(value))
        return {
            field.name: encode(content)
            for field, content in told
            if not (content is None and field.default is None)
        }
    if isinstance(value, Mapping):
        return {name: encode(content) for name, content in value.items()}
    if isinstance(value, list | tuple):
        return [encode(content) for content in value]
    return value


def decode(kind: type[T], content: Any) -> T:
    """Reads what `encode` made.

    Raises:
      ValueError: a field is missing, unknown, or of another type; names its place, such as 'pq.all'.
    """
    made: T = _decoded(kind, content, '')
    return made


def _decoded(kind: Any, content: Any, place: str) -> Any:
    origin, parts = typing.get_origin(kind), typing.get_args(kind)
    if kind is Any:
        return content
    if origin in (typing.Union, types.UnionType):
        return _alternative(parts, content, place)
    if dataclasses.is_dataclass(kind):
        return _dataclass(kind, content, place)
    if origin in _CONTAINERS:
        return _CONTAINERS[origin](parts, content, place)
    return _scalar(kind, content, place)


def _alternative(kinds: tuple[Any, ...], content: Any, place: str) -> Any:
    if content is None and types.NoneType in kinds:
        return None
    others = [kind for kind in kinds if kind is not types.NoneType]
    for kind in others[:-1]:
        try:
            return _decoded(kind, content, place)
        except ValueError:
            continue
    return _decoded(others[-1], content, place)


def _dataclass(kind: Any, content: Any, place: str) -> Any:
    _require(isinstance(content, Mapping), place, 'an object', content)
    hints, fields = typing.get_type_hints(kind), dataclasses.fields(kind)
    unknown = sorted(set(content) - {field.name for field in fields})
    if unknown:
        raise ValueError(f'{_below(place, unknown[0])} is unknown')
    for field in fields:
        if field.name not in content and field.default is field.default_factory:  # both MISSING
            raise ValueError(f'{_below(place, field.name)} is missing')
    return kind(
        **{name: _decoded(hints[name], value, _below(place, name)) for name, value in content.items()}
    )


def _mapping(parts: tuple[Any, ...], content: Any, place: str) -> dict[str, Any]:
    _require(isinstance(content, Mapping), place, 'an object', content)
    return {name: _decoded(parts[1], value, _below(place, name)) for name, value in content.items()}


def _tuple(parts: tuple[Any, ...], content: Any, place: str) -> tuple[Any, ...]:
    _require(isinstance(content, list | tuple), place, 'a list', content)
    kinds = parts[:1] * len(content) if parts[-1] is Ellipsis else parts
    _require(len(kinds) == len(content), place, f'a list of {len(kinds)}', content)
    return tuple(
        _decoded(kind, value, f'{place}[{index}]')
        for index, (kind, value) in enumerate(zip(kinds, content, strict=True))
    )


def _scalar(kind: Any, content: Any, place: str) -> Any:
    is_right = isinstance(content, kind) or (kind is float and isinstance(content, int))
    is_right = is_right and (kind is bool or not isinstance(content, bool))
    if kind is float and isinstance(content, int):
        is_right = is_right and abs(content) <= sys.float_info.max
    _require(is_right, place, _NAMES.get(kind, kind.__name__), content)
    return kind(content)


def _require(is_right: bool, place: str, wanted: str, content: Any) -> None:
    if not is_right:
        raise ValueError(f'{place or "it"} is {str(content)[:40]!r}, not {wanted}')


def _below(place: str, name: str) -> str:
    return f'{place}.{name}' if place else name


_NAMES = {float: 'a number', int: 'a whole number', str: 'a text', bool: 'true or false'}
_CONTAINERS: Mapping[Any, Callable[[tuple[Any, ...], Any, str], Any]] = {
    collections.abc.Mapping: _mapping,
    tuple: _tuple,
}
