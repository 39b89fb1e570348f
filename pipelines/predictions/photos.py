# SPDX-License-Identifier: Apache-2.0
"""What a model is to look at: image files of a folder or of a raw data set, or records."""

import os
import struct
import types
from collections.abc import Iterable, Sequence

from apache_beam.io import filesystem, filesystems

from panpipe.model import datasets, errors
from panpipe.pipelines import sources
from panpipe.pipelines.predictions import saved_model
from panpipe.pipelines.sources import annotations, entries, listing

# File systems allow 255 bytes, of which '.png.1234567.partial' and the like take some.
_LONGEST_NAME = 230
# A record of a TFRecord file: length in 8 bytes, 4 of checksum, the content, 4 of checksum.
_HEADER, _TRAILER = 12, 4


def are_at(place: str) -> bool:
    """Returns whether this is a folder or an image file, by its ending; records are neither."""
    return os.path.isdir(place) or (os.path.isfile(place) and listing.is_image(place))


def find(given: str, split: str | None, spec: datasets.DatasetSpec) -> listing.Listing:
    """Lists images, sorted by path: of a split of a raw data set, below a folder, or the one file itself.

    Raises:
      errors.InputError: there is none, or two have the same name.
    """
    if split:
        found: listing.Listing = sources.module(spec).list_images(given, split, spec, with_labels=False)
    elif os.path.isdir(given):
        found = annotations.images_below(given)
    else:
        folder, name = os.path.split(given)
        found = listing.Listing(tuple(listing.entries_of([name], folder)), {})
    if not found:
        raise errors.InputError(
            f'--input {given} holds no image file; for records give a glob pattern such as '
            f"'{os.path.join(given, '*.tfrecord')}', for a raw data set add --split"
        )
    return found


def check(found: Iterable[entries.ImageFile], form: types.ModuleType) -> None:
    """Refuses images whose predictions could not be told apart, or not be written.

    Args:
      found: the images.
      form: module of `formats`.

    Raises:
      errors.InputError: two have the same official id, or a name is too long.
    """
    taken: dict[str | int, str] = {}
    for entry in found:
        check_name(entry.image_id)
        number = form.image_id(entry.image_id) if entry.official_id is None else entry.official_id
        if number in taken:
            raise errors.InputError(
                f'{taken[number]} and {entry.path} would both be called {number} in panoptic.json; rename '
                'one, or predict with --split from a data set whose JSON file tells the ids'
            )
        taken[number] = entry.path


def check_name(name: str) -> None:
    """Raises errors.InputError for the name of an image that is too long for the files of its prediction."""
    longest = max(name.split('/'), key=lambda part: len(part.encode()))
    if len(longest.encode()) > _LONGEST_NAME:
        raise errors.InputError(
            f'the image name {longest[:40]}… has {len(longest.encode())} bytes; rename the image, for files '
            f'of its prediction it may have {_LONGEST_NAME}'
        )


def load(entry: entries.ImageFile) -> saved_model.Image:
    """Reads an image file, turned upright as its annotation would be. Runs on workers.

    Raises:
      errors.InputError: the file is missing or damaged.
    """
    return saved_model.Image(entry.image_id, entries.load(entry).encoded, entry.official_id)


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
            if listing.is_image(file.path):
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
