# SPDX-License-Identifier: Apache-2.0
"""Records out of files of records, one by one or in a pipeline, without TensorFlow."""

from collections.abc import Iterator, Sequence
from typing import Any

import apache_beam as beam

from panpipe.model import errors
from panpipe.model.inputs import records
from panpipe.model.storage import addresses, manifest, record_sets, tfrecords
from panpipe.pipelines.running import failures


class ReadRecords(beam.PTransform):
    """Reads the serialised records of files, each file on one worker."""

    def __init__(self, paths: Sequence[str], policy: failures.Policy) -> None:
        """Takes the addresses of the files, and what to do with a damaged one."""
        super().__init__()
        # Workers have other working folders.
        self._paths = [addresses.absolute(path) for path in paths]
        self._policy = policy

    def expand(self, root: beam.Pipeline) -> Any:
        """Names the files, spreads them over workers, and reads them; returns records and dead letters."""
        read = (
            root
            | 'Name files' >> beam.Create(self._paths, reshuffle=False)
            | 'Spread files' >> beam.Reshuffle()
            | 'Read records' >> failures.Try(self._policy, tfrecords.read).split(bytes)
        )
        return read.results, read[failures.LETTERS]


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


def dataset(path: str) -> str | None:
    """Names the data set that the manifest beside a record file tells of, or None where there is none."""
    try:
        told = manifest.read(addresses.parent(path))
    except errors.InputError as error:
        raise errors.InputError(f'{error}; or name the data set: --dataset') from error
    return told.dataset if told else None


def find(paths: Sequence[str], wanted: str | None) -> Iterator[bytes]:
    """Reads the records of the images of that name, or for None all."""
    return (record for record in read(paths) if wanted is None or records.image_id(record) == wanted)
