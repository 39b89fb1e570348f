# SPDX-License-Identifier: Apache-2.0
"""Loads the images to predict in a pipeline: image files, or images of records."""

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import apache_beam as beam

from panpipe.model import errors
from panpipe.model.inputs import records
from panpipe.pipelines import execution
from panpipe.pipelines.predictions import saved_model
from panpipe.pipelines.record_files import lookup
from panpipe.pipelines.running import failures
from panpipe.pipelines.sources import entries

# File systems allow 255 bytes, of which '.png.1234567.partial' and the like take some.
_LONGEST_NAME = 230


class Loaded(NamedTuple):
    """Holds images of a pipeline.

    Attributes:
      listed: all images, without their bytes.
      images: those that are not done, with their bytes.
      letters: dead letters of those that cannot be read.
    """

    listed: beam.PCollection
    images: beam.PCollection
    letters: beam.PCollection


@dataclasses.dataclass(eq=False)
class LoadImageFiles(execution.Step):
    """Loads image files.

    Attributes:
      entries: the files.
      done: names of images that are not loaded.
      policy: of images that cannot be read.
    """

    entries: Sequence[entries.ImageFile]
    done: frozenset[str]
    policy: failures.Policy

    def expand(self, root: beam.Pipeline) -> Any:
        """Returns `Loaded`; each file is loaded on some worker."""
        attempt = failures.Try(self.policy, _loaded, _name)
        named = root | 'NameFiles' >> beam.Create(self.entries)
        read = (
            named
            | 'LeaveOutDone' >> beam.Filter(_is_file_left, self.done)
            | 'SpreadFiles' >> beam.Reshuffle()
            | 'LoadFiles' >> failures.TryEach(attempt)
        )
        return Loaded(named | 'List' >> beam.Map(_listed), read.results, read.letters)


@dataclasses.dataclass(eq=False)
class LoadRecordImages(execution.Step):
    """Reads images of records.

    Attributes:
      paths: addresses of the files.
      done: names of images that are left out.
      policy: of records that cannot be read.
    """

    paths: Sequence[str]
    done: frozenset[str]
    policy: failures.Policy

    def expand(self, root: beam.Pipeline) -> Any:
        """Returns `Loaded`; each file of records is read on one worker."""
        attempt = failures.Try(self.policy, _parsed, failures.record_size)
        read = root | lookup.ReadRecords(self.paths, self.policy)
        parsed = read.results | 'ParseRecords' >> failures.TryEach(attempt)
        listed = parsed.results | 'List' >> beam.Map(_bare)
        images = parsed.results | 'LeaveOutDone' >> beam.Filter(_is_image_left, self.done)
        return Loaded(listed, images, (read.letters, parsed.letters) | failures.JoinLetters())


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


def _name(entry: entries.ImageFile) -> str:
    return entry.image_id


def _listed(entry: entries.ImageFile) -> saved_model.Image:
    return saved_model.Image(entry.image_id, b'', entry.official_id)


def _loaded(entry: entries.ImageFile) -> Iterator[saved_model.Image]:
    yield load(entry)


def _parsed(serialized: bytes) -> Iterator[saved_model.Image]:
    record = records.parse(serialized)
    check_name(record.image_id)
    yield saved_model.Image(record.image_id, record.encoded, record.official_id)


def _bare(image: saved_model.Image) -> saved_model.Image:
    return image._replace(encoded=b'')


def _is_file_left(entry: entries.ImageFile, done: frozenset[str]) -> bool:
    return entry.image_id not in done


def _is_image_left(image: saved_model.Image, done: frozenset[str]) -> bool:
    return image.name not in done
