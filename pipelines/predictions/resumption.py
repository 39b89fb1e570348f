# SPDX-License-Identifier: Apache-2.0
"""Work on a folder of predictions that goes on where it stopped, and appears only when it is whole.

The folder is made as `OUTPUT.partial`. There, `done/NAME.json` notes each image whose files are all written;
`job.json` records model, format and input; a run resumes only its own predictions.
"""

import hashlib
import json
import os
import pathlib
import shutil
import sys
from collections.abc import Iterable, Mapping
from typing import Any, Self

from apache_beam.io import filesystem

from panpipe.model import errors
from panpipe.model.jobs import outputs
from panpipe.pipelines.formats import maps

_DONE, _JOB = 'done', 'job.json'


class Unfinished:
    """Holds a folder of predictions in the making; workers get copies."""

    def __init__(self, folder: str) -> None:
        """Takes the folder as it is."""
        self.folder = folder
        self.done = os.path.join(folder, _DONE)

    @classmethod
    def open(cls, output: str, job: Mapping[str, Any]) -> Self:
        """Goes on with what an interrupted run of the same job left beside `output`, or starts anew.

        Raises:
          errors.InputError: a file is where the unfinished folder would be.
        """
        unfinished = cls(f'{output}{outputs.PARTIAL}')
        if os.path.lexists(unfinished.folder) and not os.path.isdir(unfinished.folder):
            raise errors.InputError(f'{unfinished.folder} is a file; remove it or choose another --output')
        path = pathlib.Path(unfinished.folder, _JOB)
        try:
            left = json.loads(path.read_text())
        except (OSError, ValueError):
            left = None
        if left == dict(job):
            os.makedirs(unfinished.done, exist_ok=True)  # it goes first when a folder is finished
            number = len(os.listdir(unfinished.done))
            print(f'panpipe predict: {number} images are done already, in {path.parent}', file=sys.stderr)
            return unfinished
        if os.path.exists(unfinished.folder):
            print(
                f'panpipe predict: {path.parent} is of another model, format or input; starts anew',
                file=sys.stderr,
            )
            shutil.rmtree(unfinished.folder)
        os.makedirs(unfinished.done)
        outputs.write_whole(str(path), json.dumps(dict(job)).encode())
        return unfinished

    def lacks(self, name: str) -> bool:
        """Returns whether the image of that name is still to be done."""
        return not os.path.exists(self._path(name))

    def note(self, note: maps.Note) -> None:
        """Notes that the files of an image are there."""
        outputs.write_whole(self._path(note.name), json.dumps(note).encode())

    def notes(self) -> list[maps.Note]:
        """Reads the notes of all images, by name."""
        paths = sorted(pathlib.Path(self.done).glob('*.json'))
        return [maps.Note(*json.loads(path.read_text())) for path in paths]

    def drop_parts(self) -> None:
        """Removes files that a worker had begun when it was stopped; none may be at work."""
        for place, _, names in os.walk(self.folder):
            for name in names:
                if name.endswith(outputs.PARTIAL):
                    os.remove(os.path.join(place, name))

    def finish(self, output: str) -> None:
        """Drops the notes, and lets the folder appear."""
        shutil.rmtree(self.done)
        os.remove(os.path.join(self.folder, _JOB))
        os.rename(self.folder, output)

    def _path(self, name: str) -> str:
        return os.path.join(self.done, f'{name}.json')


def stamp(found: Iterable[filesystem.FileMetadata]) -> str:
    """Returns a digest of names, sizes and times of files, which changes when these are written anew."""
    told = sorted((file.path, file.size_in_bytes, file.last_updated_in_seconds) for file in found)
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()


def fingerprint(folder: str) -> str:
    """Returns a digest of all files below a folder, by their names and contents."""
    digest = hashlib.sha256()
    for path in sorted(pathlib.Path(folder).rglob('*')):
        if path.is_file():
            digest.update(f'{path.relative_to(folder)}:{path.stat().st_size}\n'.encode())
            with path.open('rb') as file:
                digest.update(hashlib.file_digest(file, 'sha256').digest())
    return digest.hexdigest()
