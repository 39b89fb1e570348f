# SPDX-License-Identifier: Apache-2.0
"""The images to predict: image files of a folder or of a raw data set, or records."""

import abc
import dataclasses
import types
from collections.abc import Iterable

import apache_beam as beam

from panpipe.model import datasets, errors
from panpipe.model.storage import addresses, files, record_sets
from panpipe.pipelines import sources
from panpipe.pipelines.formats import registry
from panpipe.pipelines.predictions import loading
from panpipe.pipelines.record_files import plans
from panpipe.pipelines.running import failures
from panpipe.pipelines.sources import annotations, entries, listing


class Photos(abc.ABC):
    """Names images, and reads them in a pipeline."""

    @property
    @abc.abstractmethod
    def total(self) -> int:
        """Number of images."""

    @abc.abstractmethod
    def tell(self, what: str, spec: datasets.DatasetSpec, *, is_strict: bool) -> None:
        """Reports what was left out, and refuses images whose predictions would have the same name or id."""

    @abc.abstractmethod
    def facts(self) -> list[files.Facts]:
        """Looks up sizes and times of the files."""

    @abc.abstractmethod
    def read(self, done: frozenset[str], policy: failures.Policy) -> beam.PTransform:
        """Makes the transform that loads the images that are not done, and returns `loading.Loaded`."""


@dataclasses.dataclass(frozen=True)
class ImageFiles(Photos):
    """Images in files of their own."""

    entries: listing.Listing

    @property
    def total(self) -> int:
        """Number of images."""
        return len(self.entries)

    def tell(self, what: str, spec: datasets.DatasetSpec, *, is_strict: bool) -> None:
        """Reports what was left out, and refuses images whose predictions would have the same name or id."""
        listing.tell('predict', what, self.entries, is_strict=is_strict)
        check(self.entries, registry.FORMATS[spec.format])

    def facts(self) -> list[files.Facts]:
        """Looks up sizes and times of the image files, on an object store a folder at a time."""
        return list(plans.facts([dataclasses.replace(entry, label=None) for entry in self.entries]))

    def read(self, done: frozenset[str], policy: failures.Policy) -> beam.PTransform:
        """Makes the transform that loads the files."""
        unlabelled = [dataclasses.replace(entry, label=None) for entry in self.entries]
        return loading.LoadImageFiles(unlabelled, done, policy)


@dataclasses.dataclass(frozen=True)
class Records(Photos):
    """Images in files of records."""

    found: tuple[files.Facts, ...]

    @property
    def total(self) -> int:
        """Number of images."""
        return record_sets.count(self.found)

    def tell(self, what: str, spec: datasets.DatasetSpec, *, is_strict: bool) -> None:
        """Reports nothing: records name their images, and nothing is left out."""

    def facts(self) -> list[files.Facts]:
        """Returns sizes and times of the files."""
        return list(self.found)

    def read(self, done: frozenset[str], policy: failures.Policy) -> beam.PTransform:
        """Makes the transform that reads the records."""
        return loading.LoadRecordImages([told.path for told in self.found], done, policy)


def find(given: str, split: str | None, spec: datasets.DatasetSpec) -> Photos:
    """Finds images: of a split of a raw data set, below a folder, a file, or in records that patterns match.

    Raises:
      errors.InputError: there is none, or two have the same name.
    """
    if split:
        return ImageFiles(sources.module(spec).list_images(given, split, spec, with_labels=False))
    if not _are_at(given):
        return _records(given)
    found = image_files(given)
    if not found:
        raise errors.InputError(
            f'--input {given} holds no image file; for records give a glob pattern such as '
            f"'{addresses.join(given, '*.tfrecord')}', for a raw data set add --split"
        )
    return ImageFiles(found)


def image_files(given: str) -> listing.Listing:
    """Lists the image files below a folder, sorted by path, or a file itself."""
    if files.is_folder(given):
        return annotations.images_below(given)
    return listing.Listing(tuple(listing.entries_of([addresses.name(given)], addresses.parent(given))), {})


def check(found: Iterable[entries.ImageFile], form: types.ModuleType) -> None:
    """Refuses images whose predictions would have the same id, or a name that is too long.

    Args:
      found: the images.
      form: module of `formats`.

    Raises:
      errors.InputError: two have the same official id, or a name is too long.
    """
    taken: dict[str | int, str] = {}
    for entry in found:
        loading.check_name(entry.image_id)
        number = form.image_id(entry.image_id) if entry.official_id is None else entry.official_id
        if number in taken:
            raise errors.InputError(
                f'{taken[number]} and {entry.path} would both be called {number} in panoptic.json; rename '
                'one, or predict with --split from a data set whose JSON file tells the ids'
            )
        taken[number] = entry.path


def _are_at(place: str) -> bool:
    """Returns whether this is a folder or an image file, by its ending; records are neither."""
    return files.is_folder(place) or (listing.is_image(place) and files.is_file(place))


def _records(patterns: str) -> Records:
    found = record_sets.find('--input', patterns)
    for told in found:
        if listing.is_image(told.path):
            raise errors.InputError(
                f'--input {patterns} matches image files, such as {told.path}; a pattern is for records: '
                'give the folder of the images, or one of them'
            )
    if not record_sets.count(found):
        raise errors.InputError(f'--input {found[0].path} and others hold no record; convert the data again')
    return Records(tuple(found))
