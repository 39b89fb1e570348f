# SPDX-License-Identifier: Apache-2.0
"""Reads and writes protobuf text format with frozen dataclasses as the schema.

A descriptor is derived from the dataclasses at run time: no .proto file, no generated code, and the official
parser reads the text and tells line and column of a mistake.

    str, bool, int (int32), float (float32)   optional scalars
    tuple[T, ...]                              repeated fields
    a Message                                  a sub-message; absent means its dataclass default
    T | None                                   a field whose presence matters; absent means None

Fields with the same `metadata={'oneof': NAME}` exclude each other.
"""

import dataclasses
import functools
import types
import typing
from collections.abc import Iterator
from typing import Any, NamedTuple, TypeVar

import numpy as np
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, text_format

from panpipe.model import errors

T = TypeVar('T', bound='Message')

_PACKAGE = 'panpipe'
_FIELD = descriptor_pb2.FieldDescriptorProto
_SCALARS = {
    str: _FIELD.TYPE_STRING,
    bool: _FIELD.TYPE_BOOL,
    int: _FIELD.TYPE_INT32,
    float: _FIELD.TYPE_FLOAT,
}


@dataclasses.dataclass(frozen=True, eq=False)
class Message:
    """Makes a frozen dataclass a message: lists become tuples, and floats are rounded to single precision."""

    def __post_init__(self) -> None:
        for field in fields(type(self)):
            value = getattr(self, field.name)
            if field.is_repeated:
                value = tuple(_rounded(field.type, item) for item in value)
            elif value is not None:
                value = _rounded(field.type, value)
            object.__setattr__(self, field.name, value)


class Field(NamedTuple):
    """Describes a field: `type` is that of one element, `oneof` its group or ''."""

    name: str
    type: type
    is_repeated: bool
    oneof: str

    @property
    def is_message(self) -> bool:
        """Tells sub-messages from scalars."""
        return self.type not in _SCALARS


class UnknownFieldError(errors.InputError):
    """Signals a field that the schema lacks; `line` and `column` count from 1."""

    def __init__(self, path: str, line: int, column: int, message: str, field: str) -> None:
        super().__init__(f'{path}:{line}:{column}: {message} has no field {field!r}')
        self.line, self.column, self.message, self.field = line, column, message, field


def fields(message: type[Message]) -> tuple[Field, ...]:
    """Lists the fields of a message in order of declaration."""
    hints = typing.get_type_hints(message)
    return tuple(_field(f, hints[f.name]) for f in dataclasses.fields(message))


def parse(text: str, root: type[T], path: str) -> T:
    """Parses text format into an instance of `root`; `path` is what errors call the text.

    Raises:
      UnknownFieldError: a field is not in the schema.
      errors.InputError: any other mistake, as `path:line:column: what`.
    """
    try:
        message = text_format.Parse(text, _message_class(root)())
    except text_format.ParseError as error:
        raise _mistake(error, root, path) from error
    return _from_protobuf(root, message)


def dump(message: Message) -> str:
    """Writes what differs from the defaults; `parse(dump(m), type(m), '') == m`."""
    target = _message_class(type(message))()
    _fill(target, message)
    return text_format.MessageToString(target, as_utf8=True, use_short_repeated_primitives=True)


def _rounded(kind: type, value: Any) -> Any:
    if kind is not float:
        return value
    with np.errstate(over='ignore'):
        return float(np.float32(value))


def _field(field: 'dataclasses.Field[Any]', hint: Any) -> Field:
    arguments = typing.get_args(hint)
    if isinstance(hint, types.UnionType):
        hint = next(kind for kind in arguments if kind is not types.NoneType)
    elif typing.get_origin(hint) is tuple:
        return Field(field.name, arguments[0], True, '')
    return Field(field.name, hint, False, field.metadata.get('oneof', ''))


def _message_class(root: type[Message]) -> Any:
    name = root.__name__
    file = descriptor_pb2.FileDescriptorProto(name=f'{name}.proto', package=_PACKAGE, syntax='proto2')
    for message in dict.fromkeys(_reachable(root)):
        _describe(file.message_type.add(name=message.__name__), message)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f'{_PACKAGE}.{name}'))


def _reachable(message: type[Message]) -> Iterator[type[Message]]:
    yield message
    for field in fields(message):
        if field.is_message:
            yield from _reachable(field.type)


def _describe(target: Any, message: type[Message]) -> None:
    groups: list[str] = []
    for number, field in enumerate(fields(message), start=1):
        entry = target.field.add(name=field.name, number=number)
        entry.label = _FIELD.LABEL_REPEATED if field.is_repeated else _FIELD.LABEL_OPTIONAL
        entry.type = _SCALARS.get(field.type, _FIELD.TYPE_MESSAGE)
        if field.is_message:
            entry.type_name = f'.{_PACKAGE}.{field.type.__name__}'
        if field.oneof:
            if field.oneof not in groups:
                groups.append(field.oneof)
                target.oneof_decl.add(name=field.oneof)
            entry.oneof_index = groups.index(field.oneof)


def _from_protobuf(message: type[T], source: Any) -> T:
    values = {}
    for field in fields(message):
        read = functools.partial(_from_protobuf, field.type) if field.is_message else field.type
        value = getattr(source, field.name)
        if field.is_repeated:
            values[field.name] = tuple(read(item) for item in value)
        elif source.HasField(field.name):
            values[field.name] = read(value)
    return message(**values)


def _fill(target: Any, message: Message) -> None:
    defaults = type(message)()
    for field in fields(type(message)):
        value = getattr(message, field.name)
        if value == getattr(defaults, field.name):
            continue
        slot = getattr(target, field.name)
        if not field.is_message:
            slot.extend(value) if field.is_repeated else setattr(target, field.name, value)
        elif field.is_repeated:
            for item in value:
                _fill(slot.add(), item)
        else:
            slot.SetInParent()
            _fill(slot, value)


def _mistake(error: text_format.ParseError, root: type[Message], path: str) -> errors.InputError:
    line, column = error.GetLine() or 1, error.GetColumn() or 1
    what = str(error).removeprefix(f'{line}:{column} : ')
    quoted = what.split('"')
    if 'has no field named' in what and len(quoted) == 5:
        return UnknownFieldError(path, line, column, quoted[1].removeprefix(f'{_PACKAGE}.'), quoted[3])
    return errors.InputError(f'{path}:{line}:{column}: {what.replace(f"{_PACKAGE}.", "")}')
