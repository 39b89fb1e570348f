# SPDX-License-Identifier: Apache-2.0
"""What a model is to look at: image files of a folder or of a raw data set, or records."""

import os
import struct
from collections.abc import Iterable, Sequence

from apache_beam.io import filesystem, filesystems

from panpipe.model import datasets, errors
from panpipe.pipelines import sources
from panpipe.pipelines.predictions import saved_model
from panpipe.pipelines.sources import annotations, entries

# A record of a TFRecord file: length in 8 bytes, 4 of checksum, the content, 4 of checksum.
_HEADER, _TRAILER = 12, 4


def are_at(place: str) -> bool:
    """Returns whether this is a folder or an image file, by its ending; records are neither."""
    return os.path.isdir(place) or (os.path.isfile(place) and bool(annotations.image_files([place])))


def find(given: str, split: str | None, spec: datasets.DatasetSpec) -> list[entries.ImageFile]:
    """Lists images, sorted by path: of a split of a raw data set, below a folder, or the one file itself.

    Raises:
      errors.InputError: there is none, or two have the same name.
    """
    if split:
        listed: list[entries.ImageFile] = sources.module(spec).list_images(
            given, split, spec, with_labels=False
        )
        return listed
    paths = [given]
    if os.path.isdir(given):
        paths = sorted(os.path.join(place, name) for place, _, names in os.walk(given) for name in names)
    found = annotations.image_files(paths)
    if not found:
        raise errors.InputError(
            f'--input {given} holds no .png or .jpg file; for records give a glob pattern such as '
            f"'{os.path.join(given, '*.tfrecord')}', for a raw data set add --split"
        )
    return found


def load(entry: entries.ImageFile) -> saved_model.Image:
    """Reads an image file, turned upright as its annotation would be. Runs on workers.

    Raises:
      errors.InputError: the file is missing or damaged.
    """
    return saved_model.Image(entry.image_id, entries.load(entry).encoded)


def facts(found: Iterable[entries.ImageFile]) -> list[filesystem.FileMetadata]:
    """Looks up sizes and times of image files on this machine; elsewhere that would take minutes."""
    told = []
    for entry in found:
        state = None if '://' in entry.path else os.stat(entry.path)
        told.append(
            filesystem.FileMetadata(entry.path, state.st_size, state.st_mtime)
            if state
            else filesystem.FileMetadata(entry.path, 0)
        )
    return told


def record_files(patterns: Sequence[str]) -> list[filesystem.FileMetadata]:
    """Finds the files that glob patterns match.

    Raises:
      errors.InputError: a pattern matches no file, or image files.
    """
    found = []
    for pattern, match in zip(patterns, filesystems.FileSystems.match(list(patterns)), strict=True):
        if not match.metadata_list:
            raise errors.InputError(f'--input {pattern} matches no file; run `panpipe convert` first')
        for file in match.metadata_list:
            if annotations.image_files([file.path]):
                raise errors.InputError(
                    f'--input {pattern} matches image files, such as {file.path}; a pattern is for records: '
                    'give the folder of the images, or one of them'
                )
        found += match.metadata_list
    return found


def count_records(found: Sequence[filesystem.FileMetadata]) -> int:
    """Counts the records in TFRecord files by hopping from header to header.

    Raises:
      errors.InputError: a file ends early, or there is no record at all.
    """
    total = sum(_count(file.path, file.size_in_bytes) for file in found)
    if not total:
        raise errors.InputError(f'--input {found[0].path} and others hold no record; convert the data again')
    return total


def _count(path: str, size: int) -> int:
    number = place = 0
    with filesystems.FileSystems.open(path) as file:
        while place + _HEADER <= size:
            file.seek(place)
            (length,) = struct.unpack('<Q', file.read(8))
            place += _HEADER + length + _TRAILER
            number += 1
    if place != size:
        raise errors.InputError(f'{path} is cut short or no TFRecord file; convert the data again')
    return number
