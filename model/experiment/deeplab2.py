# SPDX-License-Identifier: Apache-2.0
"""What DeepLab2 files may contain that the schema does not: other spellings, and fields of other tasks."""

import difflib
import re
from collections.abc import Mapping
from typing import NamedTuple, NoReturn

from panpipe.model import errors
from panpipe.model.experiment import schema, textproto

_SEVERAL_FRAMES = 'video panoptic segmentation'
_DEPTH = 'depth estimation'
_CAMERAS = 'several cameras'

# Another spelling → the field's name. DeepLab2's own FAQ uses this one.
RENAMED: Mapping[str, str] = {
    'merge_semantic_instance_with_tf_op': 'merge_semantic_and_instance_with_tf_op',
}


class Foreign(NamedTuple):
    """Names the other task that a field belongs to, and its default as text ('' for messages and lists)."""

    task: str
    default: str = ''


# A field here is refused, unless its value is the default, which changes nothing.
OUT_OF_SCOPE: Mapping[str, Foreign] = {
    'use_two_frames': Foreign(_SEVERAL_FRAMES, 'false'),
    'use_next_frame': Foreign(_SEVERAL_FRAMES, 'false'),
    'motion_deeplab': Foreign(_SEVERAL_FRAMES),
    'motion_head': Foreign(_SEVERAL_FRAMES),
    'motion_loss': Foreign(_SEVERAL_FRAMES),
    'next_regression_head': Foreign(_SEVERAL_FRAMES),
    'next_regression_loss': Foreign(_SEVERAL_FRAMES),
    'vip_deeplab': Foreign(f'{_SEVERAL_FRAMES} and {_DEPTH}'),
    'depth_head': Foreign(_DEPTH),
    'depth_loss': Foreign(_DEPTH),
    'max_value_after_activation': Foreign(_DEPTH, '0'),
    'min_value_after_activation': Foreign(_DEPTH, '0'),
    'cameras_to_use': Foreign(_CAMERAS),
}

# A scalar or an empty list, with the separator that may follow.
_VALUE = re.compile(r'\w+\s*:\s*(?:"([^"\n]*)"|\'([^\'\n]*)\'|([\w.+-]+)|\[\s*\])[ \t]*[,;]?')
_FALSE = ('false', 'f', '0')  # in lower case


def accept(text: str, path: str, error: textproto.UnknownFieldError) -> str:
    """Returns `text` in the schema's own words where it knows the field, so that parsing goes on.

    Raises:
      errors.InputError: the field is unknown, or asks for something that panpipe does not do.
    """
    start = _offset(text, error.line, error.column)
    after = start + len(error.field)
    if error.field in RENAMED:
        return text[:start] + RENAMED[error.field] + text[after:]
    value = _VALUE.match(text, start)
    foreign = OUT_OF_SCOPE.get(error.field)
    if foreign and value and _is_same(value[1] or value[2] or value[3] or '', foreign.default):
        return text[:start] + re.sub(r'[^\n]', ' ', value[0]) + text[value.end() :]
    refuse(error.field, error.message, f'{path}:{error.line}:{error.column}: ', error)


def refuse(field: str, message: str, prefix: str, cause: Exception | None = None) -> NoReturn:
    """Raises the `InputError` about a field that message `message` lacks."""
    foreign = OUT_OF_SCOPE.get(field)
    if foreign:
        raise errors.InputError(
            f"{prefix}field {field!r} is out of panpipe's scope ({foreign.task}); "
            'remove it, or train that model with DeepLab2'
        ) from cause
    names = [f.name for f in textproto.fields(getattr(schema, message))]
    close = difflib.get_close_matches(field, names, n=1)
    hint = f'did you mean {close[0]!r}?' if close else f'its fields are {", ".join(names)}'
    raise errors.InputError(f'{prefix}{message} has no field {field!r}; {hint}') from cause


def _offset(text: str, line: int, column: int) -> int:
    lines = text.split('\n')
    return sum(len(before) + 1 for before in lines[: line - 1]) + column - 1


def _is_same(value: str, default: str) -> bool:
    if default == 'false':
        return value.lower() in _FALSE
    try:
        return float(value) == float(default)
    except ValueError:
        return value.lower() == default
