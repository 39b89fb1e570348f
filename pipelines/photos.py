# SPDX-License-Identifier: Apache-2.0
"""What a model is to look at: image files of a folder or of a raw data set, or records."""

import os
import struct
from collections.abc import Sequence

from apache_beam.io import filesystems

from panpipe.model import datasets, errors
from panpipe.pipelines import inference, sources
from panpipe.pipelines.sources import annotations, entries

# A record of a TFRecord file: length in 8 bytes, 4 of checksum, the content, 4 of checksum.
_HEADER, _TRAILER = 12, 4


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


def load(entry: entries.ImageFile) -> inference.Image:
    """Reads an image file, turned upright as its annotation would be. Runs on workers.

    Raises:
      errors.InputError: the file is missing or damaged.
    """
    return inference.Image(entry.image_id, entries.load(entry).encoded)


def count_records(patterns: Sequence[str]) -> int:
    """Counts the records in TFRecord files by hopping from header to header.

    Raises:
      errors.InputError: a pattern matches no file, a file ends early, or there is no record at all.
    """
    total = 0
    for pattern, match in zip(patterns, filesystems.FileSystems.match(list(patterns)), strict=True):
        if not match.metadata_list:
            raise errors.InputError(f'--input {pattern} matches no file; run `panpipe convert` first')
        total += sum(_count(file.path, file.size_in_bytes) for file in match.metadata_list)
    if not total:
        raise errors.InputError(f'the files of --input {",".join(patterns)} hold no record')
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
