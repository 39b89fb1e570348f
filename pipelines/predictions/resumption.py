# SPDX-License-Identifier: Apache-2.0
"""A folder of predictions in the making: an interrupted run is resumed, and the folder appears when complete.

On this machine the folder is made as `OUTPUT.partial` and renamed. On an object store, where renaming would
copy every file, it is made in its place, and complete when `.unfinished` in it is gone. That folder holds
`job.json`, which records model, format and input, so a run resumes only its own predictions; and `notes`.
"""

import dataclasses
import hashlib
import json
import os
import sys
from collections.abc import Iterable, Mapping
from typing import Any, Self

from panpipe.model import errors
from panpipe.model.storage import addresses, files
from panpipe.pipelines.predictions import notes

_MARK, _JOB, _NOTES = '.unfinished', 'job.json', 'notes'


@dataclasses.dataclass(frozen=True)
class Unfinished:
    """Names a folder of predictions in the making; workers get copies.

    Attributes:
      output: address of the complete folder, absolute.
      folder: where it is made.
    """

    output: str
    folder: str

    @property
    def mark(self) -> str:
        """Folder of what is not for keeps."""
        return addresses.join(self.folder, _MARK)

    @property
    def notes(self) -> str:
        """Folder of the notes of images that are done."""
        return addresses.join(self.mark, _NOTES)

    @classmethod
    def open(cls, output: str, job: Mapping[str, Any]) -> Self:
        """Resumes what an interrupted run of the same job left, or starts anew.

        Raises:
          errors.InputError: the output is there and complete, or a file is where the unfinished folder would
            be.
        """
        is_in_place = files.exists(addresses.join(output, _MARK, _JOB))
        if files.exists(output) and not is_in_place:
            raise errors.InputError(f'--output {output} exists; remove it or choose another folder')
        is_made_there = is_in_place or addresses.is_remote(output)
        found = cls(output, output if is_made_there else f'{output}{files.PARTIAL}')
        path = addresses.join(found.mark, _JOB)
        if files.exists(found.folder) and not files.is_folder(found.folder):
            raise errors.InputError(f'{found.folder} is a file; remove it or choose another --output')
        if _content(path) == dict(job):
            told = f'{notes.count(found.notes)} images are done already, in {found.folder}'
            print(f'panpipe predict: {told}', file=sys.stderr)
            return found
        if files.exists(found.folder):
            told = f'{found.folder} is of another model, format or input; starts anew'
            print(f'panpipe predict: {told}', file=sys.stderr)
            files.delete([found.folder])
        files.write_whole(path, json.dumps(dict(job)).encode())
        return found

    def is_finished(self) -> bool:
        """Returns whether the output is complete, as a step that is done twice finds it."""
        return files.exists(self.output) and not files.exists(addresses.join(self.output, _MARK, _JOB))

    def drop_parts(self) -> None:
        """Removes files that a worker had begun when it was stopped; none may be at work."""
        if not addresses.is_remote(self.folder):
            files.delete(told.path for told in files.tree(self.folder) if told.path.endswith(files.PARTIAL))

    def finish(self) -> None:
        """Lets the folder appear, and drops the notes."""
        if self.folder != self.output:
            os.rename(self.folder, self.output)
        files.delete([addresses.join(self.output, _MARK)])


def stamp(found: Iterable[files.Facts]) -> str:
    """Returns a digest of names, sizes and times of files, which changes when these are written anew."""
    told = sorted(dataclasses.astuple(one) for one in found)
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()


def fingerprint(folder: str) -> str:
    """Returns a digest of all files below a folder, by their names and contents."""
    digest = hashlib.sha256()
    for told in files.tree(folder):
        digest.update(f'{told.path.removeprefix(folder)}:{told.size}\n'.encode())
        with files.opened(told.path) as file:
            digest.update(hashlib.sha256(file.read()).digest())
    return digest.hexdigest()


def _content(path: str) -> Any:
    try:
        return json.loads(files.read(path))
    except ValueError:
        return None
