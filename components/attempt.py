# SPDX-License-Identifier: Apache-2.0
"""One attempt at a step of the pipeline: it calls jobs, ends as they end, and leaves a note."""

import contextlib
import io
import sys
import time
import types
from collections.abc import Callable
from typing import Self, TextIO, TypeVar

from panpipe.components import command, notes, places
from panpipe.model.jobs import command_line

Result = TypeVar('Result')


class JobEnded(SystemExit):
    """Ends the process of a step whose job failed.

    Attributes:
      line: the job's reason.
    """

    def __init__(self, status: int, line: str) -> None:
        """Takes the exit status and the job's own line."""
        super().__init__(status)
        self.line = line


class Attempt(contextlib.AbstractContextManager['Attempt']):
    """Runs the jobs of one step, and writes a note when it ends, failed or not.

    Attributes:
      figures: what it found, for the note.
    """

    def __init__(self, step: str, work: str) -> None:
        """Begins a step; `work` is the address under which notes go, '' for nowhere."""
        self.figures: dict[str, float] = {}
        self._step, self._work, self._started, self._place = step, work, time.time(), ''

    def __enter__(self) -> Self:
        """Returns itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: types.TracebackType | None
    ) -> None:
        """Writes the note; exceptions are raised again."""
        if self._work:
            line = error.line if isinstance(error, JobEnded) else f'{type(error).__name__}: {error}'
            seconds = time.time() - self._started
            note = notes.Note(
                self._step, self._started, seconds, line if error else '', self.figures, self._place
            )
            notes.leave(note, self._work)

    def call(self, *arguments: str) -> None:
        """Runs a job; ends the process with the job's exit status unless that is 0."""
        _finish(arguments[0], lambda: command.main(arguments))

    def perform(self, job: str, function: Callable[..., Result], *arguments: object) -> Result:
        """Calls a function that may fail as a job does, and returns what it returns."""
        results: list[Result] = []
        _finish(job, lambda: command_line.run(job, lambda: results.append(function(*arguments))))
        return results[0]

    def fill_by(
        self, place: places.Place, job: str, function: Callable[..., object], *arguments: object
    ) -> None:
        """Calls the function that fills a place, unless that is finished; then the artifact points there."""
        self._fill(place, (), lambda: self.perform(job, function, *arguments))

    def fill(self, place: places.Place, *arguments: str, small: tuple[str, ...] = ()) -> None:
        """Runs the job that fills a place, unless that is finished; then the artifact points there."""
        self._fill(place, small, lambda: self.call(*arguments))

    def _fill(self, place: places.Place, small: tuple[str, ...], body: Callable[[], object]) -> None:
        self._place = place.folder
        if place.is_finished:
            print(f'{place.folder} is finished: an earlier attempt or run made it')
        else:
            body()
        place.finish(*small)


def _finish(job: str, body: Callable[[], int]) -> None:
    """Repeats the reason of a failure as the last line of a step's log, where people look first."""
    said = _Kept(sys.stderr, f'panpipe {job}: error: ')
    with contextlib.redirect_stderr(said):
        status = body()
    if status:
        line = said.line or f'panpipe {job}: error: see above'
        print(f'{line} (exit status {status})', file=sys.stderr)
        raise JobEnded(status, line)


class _Kept(io.TextIOBase):
    """Passes text on, and keeps the last line that begins as told."""

    def __init__(self, to: TextIO, start: str) -> None:
        self.line = ''
        self._to, self._start, self._partial = to, start, ''

    def write(self, text: str) -> int:
        *lines, self._partial = (self._partial + text).split('\n')
        self.line = next((line for line in reversed(lines) if line.startswith(self._start)), self.line)
        return self._to.write(text)

    def flush(self) -> None:
        self._to.flush()

    def fileno(self) -> int:
        return self._to.fileno()

    def isatty(self) -> bool:
        return self._to.isatty()
