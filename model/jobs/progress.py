# SPDX-License-Identifier: Apache-2.0
"""Progress of long work on standard error: a bar on a terminal, a line now and then elsewhere."""

import contextlib
import sys
import time
from collections.abc import Callable, Iterator

from rich import console, progress

_SECONDS_BETWEEN_LINES = 5.0


@contextlib.contextmanager
def bar(what: str, total: int, done: int = 0) -> Iterator[Callable[[int, str], None]]:
    """Shows progress towards `total`; yields `advance(number done so far, short note)`.

    >>> with bar('train', total=2) as advance:
    ...     advance(1, 'loss 3.2')
    ...     advance(2, 'loss 2.9')
    """
    screen = console.Console(stderr=True)
    if not screen.is_terminal:
        yield _lines(what, total, done)
        return
    columns = (
        progress.TextColumn('{task.description}'),
        progress.BarColumn(),
        progress.MofNCompleteColumn(),
        progress.TimeRemainingColumn(),
        progress.TextColumn('{task.fields[note]}'),
    )
    with progress.Progress(*columns, console=screen) as display:
        task = display.add_task(what, total=total, completed=done, note='')

        def advance(number: int, note: str = '') -> None:
            display.update(task, completed=number, note=note)

        yield advance


def _lines(what: str, total: int, done: int) -> Callable[[int, str], None]:
    started = last = time.monotonic()

    def advance(number: int, note: str = '') -> None:
        nonlocal last
        now = time.monotonic()
        if number < total and now - last < _SECONDS_BETWEEN_LINES:
            return
        last = now
        rate = (now - started) / max(number - done, 1)
        left = f', {rate * (total - number):.0f} s left' if number < total else ''
        print(f'{what}: {number}/{total}  {note}  ({rate:.2f} s each{left})', file=sys.stderr, flush=True)

    return advance
