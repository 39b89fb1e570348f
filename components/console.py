# SPDX-License-Identifier: Apache-2.0
"""Console output of a pipeline that runs on this machine: each step's name, its jobs' lines, its seconds.

kfp's local runner prints a step's output among notes of its own. `Console` stands in for standard output,
keeps everything in one log file a step, and passes on what the jobs say.
"""

import dataclasses
import io
import pathlib
import re
import time
from typing import TextIO

from panpipe.model.jobs import quiet

_COLOR = re.compile(r'\x1b\[\d+m')
_START = re.compile(r"Executing task '([\w-]+)'")
_END = re.compile(r"Task '([\w-]+)' finished with status (\w+)")
_ERROR = re.compile(r'panpipe \w+: error: (.+?)(?: \(exit status (\d+)\))?$')
_EXCEPTION = re.compile(r'\s*((?:\w+\.)*\w*(?:Error|Exception|Exit|Interrupt)\b.*)')
_INDENT = '    '  # kfp's, before each line of a step


@dataclasses.dataclass
class Step:
    """Records one step of a run.

    Attributes:
      name: task name in the pipeline.
      log: file with all that the step printed.
      started: seconds since 1970.
      seconds: wall-clock time.
      succeeded: False while it runs and after a failure.
      error: the job's last error line, or the exception that ended it, or ''.
      is_mistake: the error is a user's mistake.
      is_kept: an earlier run finished it.
    """

    name: str
    log: pathlib.Path
    started: float = 0.0
    seconds: float = 0.0
    succeeded: bool = False
    error: str = ''
    is_mistake: bool = False
    is_kept: bool = False


class Console(io.TextIOBase):
    """Replaces standard output while kfp runs a pipeline."""

    def __init__(self, out: TextIO, logs: pathlib.Path, total: int) -> None:
        """Shows `total` steps on `out` and writes their logs into the folder `logs`."""
        self.steps: list[Step] = []
        self._out, self._logs, self._total = out, logs, total
        self._partial = ''
        self._started = 0.0
        self._is_running = self._is_in_json = self._is_in_traceback = False

    def writable(self) -> bool:
        """Returns whether lines can be written: always."""
        return True

    def write(self, text: str) -> int:
        """Takes text of any length; acts on whole lines."""
        *lines, self._partial = (self._partial + text).split('\n')
        for line in lines:
            self._take(line)
        return len(text)

    def flush(self) -> None:
        """Flushes what is shown."""
        self._out.flush()

    def _take(self, line: str) -> None:
        plain = _COLOR.sub('', line)
        if not self._is_running:
            if start := _START.search(plain):
                self._start(start[1])
        elif (end := _END.search(plain)) and not plain.startswith(_INDENT):
            self._end(end[2] == 'SUCCESS')
        else:
            self._pass_on(plain.removeprefix(_INDENT))

    def _start(self, name: str) -> None:
        self._is_running, self._started = True, time.monotonic()
        self.steps.append(Step(name, self._logs / f'{name}.log', time.time()))
        self.steps[-1].log.unlink(missing_ok=True)
        self._show(f'[{len(self.steps)}/{self._total}] {name}')

    def _end(self, succeeded: bool) -> None:
        step = self.steps[-1]
        step.seconds, step.succeeded, self._is_running = time.monotonic() - self._started, succeeded, False
        self._show(f'      {"done in" if succeeded else "failed after"} {step.seconds:.1f} s')

    def _pass_on(self, line: str) -> None:
        step = self.steps[-1]
        with step.log.open('a') as log:
            log.write(line + '\n')
        if error := _ERROR.match(line):
            step.error, step.is_mistake = error[1], error[2] == '2'
        elif self._is_in_json:
            self._is_in_json = line != '}'
        elif line.endswith('Got executor_input:'):
            self._is_in_json = True
        elif self._is_traceback(line):
            return
        elif line.strip() and not self._is_note(line):
            self._show(f'      {line}')

    def _is_traceback(self, line: str) -> bool:
        """Recognizes a traceback, which only the log shows, and keeps the last exception's message."""
        if line.startswith('Traceback (most recent call last)'):
            self._is_in_traceback = True
        if not self._is_in_traceback:
            return False
        if error := _EXCEPTION.match(line):
            self.steps[-1].error = error[1]
            return True
        self._is_in_traceback = not line or line.startswith((' ', 'Traceback', 'During ', 'The above '))
        return self._is_in_traceback

    def _is_note(self, line: str) -> bool:
        return bool(quiet.NOTE.match(line)) or line.startswith('[KFP Executor ') or 'Streamed logs:' in line

    def _show(self, line: str) -> None:
        self._out.write(line + '\n')
        self._out.flush()
