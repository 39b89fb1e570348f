# SPDX-License-Identifier: Apache-2.0
"""What a user adds to a configuration file: `--set` overrides and environment variables."""

import dataclasses
import os
import re
from collections.abc import Sequence
from typing import Any, TypeVar

from panpipe.model import errors
from panpipe.model.experiment import deeplab2, textproto

M = TypeVar('M', bound=textproto.Message)

_PLACEHOLDER = re.compile(r'\$\{(\w+)\}')
_STRING_OR_COMMENT = re.compile(r'"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'|#[^\n]*')
_BOOLEANS = {'true': True, 'false': False}
_NOUNS = {bool: 'true or false', int: 'an integer of 32 bits', float: 'a number'}


def override(message: M, entry: str) -> M:
    """Replaces one value.

    Args:
      message: what to change.
      entry: 'field.of.fields=value'. A repeated field takes comma-separated values, an absent message on the
        way comes into being, and a message that may be absent is taken away by an empty value.

    Raises:
      errors.InputError: the field does not exist, or the value does not fit it.
    """
    names, separator, value = entry.partition('=')
    if not separator:
        raise errors.InputError(f'--set {entry}: there is no "=" in it; write field.of.fields=value')
    return _replaced(message, names.strip().split('.'), value.strip(), f'--set {entry}: ')


def substitute(message: M, text: str, path: str) -> M:
    """Puts environment variables in place of `${NAME}` in all strings of `message`, read from `text`.

    Raises:
      errors.InputError: a variable is not set; tells where in `text`, called `path`, it is wanted.
    """
    missing: list[tuple[str, str]] = []
    complete = _substituted(message, '', missing)
    if missing:
        field, name = missing[0]
        others = sorted({other for _, other in missing} - {name})
        also = f'; also unset: {", ".join(others)}' if others else ''
        raise errors.InputError(
            f'{_place(text, path, name) or f"--set {field}"}: the environment variable {name} is not set; '
            f'export {name}=VALUE or give --set {field}=VALUE{also}'
        )
    return complete


def _replaced(message: M, names: Sequence[str], value: str, where: str) -> M:
    kind = type(message)
    name = deeplab2.RENAMED.get(names[0], names[0])
    field = {f.name: f for f in textproto.fields(kind)}.get(name)
    if field is None:
        deeplab2.refuse(name, kind.__name__, where)
    new: Any
    if len(names) == 1 and not value and not field.is_repeated and getattr(kind(), name) is None:
        new = None
    elif field.is_message:
        new = _replaced_message(getattr(message, name), field, names, value, where)
    elif len(names) > 1:
        raise errors.InputError(f'{where}{name} holds a value, not fields; end the name there')
    elif field.is_repeated:
        new = tuple(_scalar(field.type, item.strip(), where) for item in value.split(',') if item.strip())
    else:
        new = _scalar(field.type, value, where)
    return dataclasses.replace(message, **{name: new})


def _replaced_message(
    message: textproto.Message | None, field: textproto.Field, names: Sequence[str], value: str, where: str
) -> textproto.Message:
    if field.is_repeated:
        raise errors.InputError(f'{where}{field.name} is a list of messages; edit it in the file')
    if len(names) == 1:
        inner = ', '.join(f.name for f in textproto.fields(field.type))
        raise errors.InputError(f'{where}{field.name} has fields; set one of {inner}')
    return _replaced(message or field.type(), names[1:], value, where)


def _scalar(kind: type, text: str, where: str) -> Any:
    if kind is str:
        return text
    try:
        value = _BOOLEANS[text.lower()] if kind is bool else kind(text)
        if kind is int and not -(2**31) <= value < 2**31:
            raise ValueError(value)
    except (KeyError, ValueError) as error:
        raise errors.InputError(f'{where}{text!r} is not {_NOUNS[kind]}') from error
    return value


def _substituted(message: M, prefix: str, missing: list[tuple[str, str]]) -> M:
    values: dict[str, Any] = {}
    for field in textproto.fields(type(message)):
        value, name = getattr(message, field.name), prefix + field.name
        items = value if field.is_repeated else (value,)
        done = tuple(_completed(item, name, missing) for item in items)
        values[field.name] = done if field.is_repeated else done[0]
    return dataclasses.replace(message, **values)


def _completed(value: Any, name: str, missing: list[tuple[str, str]]) -> Any:
    def variable(match: re.Match[str]) -> str:
        if match[1] not in os.environ:
            missing.append((name, match[1]))
        return os.environ.get(match[1], '')

    if isinstance(value, textproto.Message):
        return _substituted(value, f'{name}.', missing)
    return _PLACEHOLDER.sub(variable, value) if isinstance(value, str) else value


def _place(text: str, path: str, name: str) -> str:
    code = _STRING_OR_COMMENT.sub(lambda m: ' ' * len(m[0]) if m[0][0] == '#' else m[0], text)
    offset = code.find(f'${{{name}}}')
    if offset < 0:  # it came with an override
        return ''
    return f'{path}:{code.count(chr(10), 0, offset) + 1}:{offset - code.rfind(chr(10), 0, offset)}'
