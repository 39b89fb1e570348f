# SPDX-License-Identifier: Apache-2.0
"""Records out of files of records, one by one or in a pipeline, without TensorFlow."""

import dataclasses
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import apache_beam as beam

from panpipe.model import datasets, errors
from panpipe.model.inputs import records
from panpipe.model.storage import addresses, files, manifest, record_sets, tfrecords
from panpipe.pipelines import execution
from panpipe.pipelines.running import failures


@dataclasses.dataclass(eq=False)
class ReadRecords(execution.Step):
    """Reads the serialised records of files, each file on one worker.

    Attributes:
      paths: addresses of the files.
      policy: of damaged files.
    """

    paths: Sequence[str]
    policy: failures.Policy

    def expand(self, root: beam.Pipeline) -> Any:
        """Returns an `Outcome`: records, and dead letters of files."""
        paths = [addresses.absolute(path) for path in self.paths]  # workers have other working folders
        return (
            root
            | 'NameFiles' >> beam.Create(paths, reshuffle=False)
            | 'SpreadFiles' >> beam.Reshuffle()
            | 'ReadFiles' >> failures.TryEach(failures.Try(self.policy, tfrecords.read), bytes)
        )


def find_files(patterns: Sequence[str], option: str = 'records') -> list[str]:
    """Lists the files that patterns match, sorted; `record_sets.find` says what it refuses."""
    return [told.path for told in record_sets.find(option, patterns)]


def match(pattern: str) -> list[str]:
    """Lists the files that a pattern matches, or all `*.tfrecord` where it names a folder."""
    return [told.path for told in record_sets.match(pattern)]


def read(paths: Sequence[str]) -> Iterator[bytes]:
    """Reads the records of files one after another, serialised.

    Raises:
      errors.InputError: a file holds no records, or is damaged.
    """
    for path in paths:
        yield from tfrecords.read(path)


def dataset(paths: Iterable[str], given: str | None = None) -> datasets.DatasetSpec | None:
    """Finds the data set of records: as the manifests beside them say, or as it is given.

    Args:
      paths: of the files.
      given: what the user calls it, or None. Its description may be gone: records keep a copy.

    Returns:
      The data set, or None if nothing names it.

    Raises:
      errors.InputError: the records are of another data set than the given one, or of several.
    """
    found = None
    for folder in dict.fromkeys(map(addresses.parent, paths)):
        told = _manifest(folder, is_needed=given is None)
        kept = datasets.of_copy(told.kept) if told else None
        if found is None and given is not None:
            found = kept if kept and kept.name == given and not files.exists(given) else datasets.find(given)
        found = found or kept
        difference = found.description.difference(kept.description) if found and kept else ''
        if found and kept and difference:
            raise errors.InputError(
                f'the records in {folder} are of {kept.name}, another data set than {found.name}: '
                f'{difference}; name the data set that they were converted from, or convert again'
            )
    return found


def _manifest(folder: str, *, is_needed: bool) -> manifest.Manifest | None:
    try:
        return manifest.read(folder)
    except errors.InputError as error:
        if not is_needed:
            return None
        raise errors.InputError(f'{error}; or name the data set: --dataset') from error


def find(paths: Sequence[str], wanted: str | None) -> Iterator[bytes]:
    """Reads the records of the images of that name, or for None all."""
    return (record for record in read(paths) if wanted is None or records.image_id(record) == wanted)
