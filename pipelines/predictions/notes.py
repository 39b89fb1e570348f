# SPDX-License-Identifier: Apache-2.0
"""Notes of images whose files are written: some dozens a file, read back one by one in order."""

import json
import tempfile
import uuid
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import Self

from panpipe.model.storage import addresses, files
from panpipe.pipelines.formats import maps

_ENDING = '.jsonl'


def write(folder: str, noted: list[maps.Note]) -> None:
    """Writes notes to one file; its name begins with their number."""
    content = b''.join(json.dumps(note).encode() + b'\n' for note in noted)
    name = f'{len(noted):05d}-{uuid.uuid4().hex[:12]}{_ENDING}'
    files.write_whole(addresses.join(folder, name), content)


def count(folder: str) -> int:
    """Counts notes by the names of their files."""
    return sum(int(name.partition('-')[0]) for name in files.names(folder) if name.endswith(_ENDING))


def names(folder: str) -> frozenset[str]:
    """Lists the images that are noted."""
    return frozenset(
        json.loads(line)[0]
        for path in files.find(folder, f'*{_ENDING}')
        for line in files.read(path).splitlines()
    )


class Book:
    """Holds local copies of all notes, and an index of where each is."""

    def __init__(self, folder: str) -> None:
        """Remembers the folder; the copies are made when a `with` block begins."""
        self._folder = folder
        self._places: dict[str, tuple[str, int, int]] = {}

    def __enter__(self) -> Self:
        """Gathers the notes in a temporary file; of an image that was done twice, one counts."""
        self._file = tempfile.TemporaryFile()
        for path in files.find(self._folder, f'*{_ENDING}'):
            for line in files.read(path).splitlines(keepends=True):
                note = maps.Note(*json.loads(line))
                file_name = note.annotation['file_name'] if note.annotation else note.name
                self._places[note.name] = (file_name, self._file.tell(), len(line))
                self._file.write(line)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Deletes the copies."""
        self._file.close()

    def missing(self, wanted: Iterable[str]) -> list[str]:
        """Lists wanted images that are not noted, sorted."""
        return sorted(name for name in wanted if name not in self._places)

    def by_name(self) -> Iterator[maps.Note]:
        """Reads the notes one by one, in the order of the images' names."""
        return self._read(sorted(self._places))

    def by_file(self) -> Iterator[maps.Note]:
        """Reads the notes one by one, in the order of the names of the panoptic PNGs."""
        return self._read(sorted(self._places, key=lambda name: self._places[name][0]))

    def _read(self, names: Iterable[str]) -> Iterator[maps.Note]:
        for name in names:
            _, place, size = self._places[name]
            self._file.seek(place)
            yield maps.Note(*json.loads(self._file.read(size)))
