# SPDX-License-Identifier: Apache-2.0
"""Finds a user's mistake in what a runner reports, be it an exception or the text of a worker's traceback."""

import contextlib
import re
from collections.abc import Iterator

from panpipe.model import errors

# A worker's exception arrives as a traceback: '….InputError: what, where, cure [while running 'Load']'.
_MISTAKE = re.compile(
    r'(?:^|[\s.\'"])InputError: (?P<message>.*?)'
    r'(?=\s*\[while running|\n\s*\n|\nTraceback \(most|\n\s+File "|\\n|\Z)',
    re.DOTALL,
)

# As does Ctrl-C that reaches a worker: "KeyboardInterrupt [while running 'Load']".
_INTERRUPTED = re.compile(r'^KeyboardInterrupt\s*(?:\[while running|$)', re.MULTILINE)


def message(error: BaseException) -> str | None:
    """Finds the message of an `InputError`: an exception, one of its causes, or one quoted in their texts."""
    seen: BaseException | None = error
    while seen is not None:
        text = f'InputError: {seen}' if isinstance(seen, errors.InputError) else str(seen)
        match = _MISTAKE.search(text)
        if match:
            return ' '.join(match['message'].split())
        seen = seen.__cause__ or seen.__context__
    return None


def is_interrupted(error: BaseException) -> bool:
    """Returns whether an exception or a cause of it is a KeyboardInterrupt, or quotes one in its text."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, KeyboardInterrupt) or _INTERRUPTED.search(str(seen)):
            return True
        seen = seen.__cause__ or seen.__context__
    return False


@contextlib.contextmanager
def in_one_line() -> Iterator[None]:
    """Turns what a runner raises into the mistake or the interruption behind it, if there is one."""
    try:
        yield
    except errors.JobError:
        raise
    except Exception as error:
        if is_interrupted(error):
            raise KeyboardInterrupt from None
        told = message(error)
        if told is None:
            raise
        raise errors.InputError(told) from None
