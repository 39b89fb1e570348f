# SPDX-License-Identifier: Apache-2.0
"""Notes that steps write about themselves, and the summary that the run's last task makes of them.

WORK/runs/RUN/convert.json, train.json, …   one a step: when it ran, how it ended, its figures

A step that came from the cache leaves none. Without `work` there is no place that all steps see.
"""

import dataclasses
import datetime
import json
import os
from collections.abc import Mapping, Sequence

from panpipe.model.storage import addresses, files

# Environment variable that names the run; the pipeline sets it from a label of the step's pod.
VARIABLE = 'PANPIPE_RUN'


@dataclasses.dataclass(frozen=True)
class Note:
    """Records how one step of a run went.

    Attributes:
      step: name.
      started: seconds since 1970.
      seconds: how long it took.
      error: the line that it failed with, '' for success.
      figures: what it found, by name.
      place: where its content lies, '' for its artifact.
    """

    step: str
    started: float
    seconds: float
    error: str = ''
    figures: Mapping[str, float] = dataclasses.field(default_factory=dict)
    place: str = ''


def leave(note: Note, work: str) -> None:
    """Writes the note of a step; one that a former attempt left is replaced."""
    content = json.dumps(dataclasses.asdict(note), indent=2).encode() + b'\n'
    files.write_whole(addresses.join(_folder(work), f'{note.step}.json'), content)


def read(work: str) -> list[Note]:
    """Reads the notes of this run, in the order in which the steps began."""
    folder = _folder(work)
    found = [
        Note(**json.loads(files.read(addresses.join(folder, name))))
        for name in files.names(folder)
        if name.endswith('.json')
    ]
    return sorted(found, key=lambda note: note.started)


def summary(notes: Sequence[Note], state: str, message: str = '') -> str:
    """Writes Markdown: how the run ended, and a line a step with its time, and its figures or that it failed.

    Args:
      notes: of the steps that ran.
      state: of the run: 'succeeded', 'failed'.
      message: of Kubeflow Pipelines, '' for none.
    """
    name = os.environ.get(VARIABLE, '')
    lines = [f'## Run {name}: {state}' if name else f'## {state.capitalize()}', '']
    failed = [note for note in notes if note.error]
    lines += [f'**{note.step} failed:** {note.error}\n' for note in failed]
    if message and not failed:
        lines += [f'**Kubeflow Pipelines says:** {message}\n']
    if not notes:
        return '\n'.join([*lines, 'With the parameter `work` set, this page tells of each step.', ''])
    lines += ['| step | began (UTC) | seconds | what |', '|---|---|---:|---|', *map(_row, notes), '']
    return '\n'.join([*lines, 'A step that is not listed was kept from an earlier run, or never began.', ''])


def _row(note: Note) -> str:
    began = datetime.datetime.fromtimestamp(note.started, datetime.UTC).strftime('%H:%M:%S')
    figures = ', '.join(f'{name} {value:.1f}' for name, value in note.figures.items())
    what = 'failed' if note.error else ' '.join(filter(None, [figures, note.place]))
    gap = '&emsp;'  # the user interface draws no space between columns
    return f'| {note.step}{gap} | {began}{gap} | {note.seconds:.1f}{gap} | {what} |'


def _folder(work: str) -> str:
    return addresses.join(work, 'runs', os.environ.get(VARIABLE) or 'run')
