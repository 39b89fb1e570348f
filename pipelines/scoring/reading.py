# SPDX-License-Identifier: Apache-2.0
"""Reads ground truth in a pipeline: from a raw data set, or from records."""

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any

import apache_beam as beam

from panpipe.pipelines import execution
from panpipe.pipelines.record_files import lookup
from panpipe.pipelines.running import failures
from panpipe.pipelines.scoring import pairs
from panpipe.pipelines.sources import entries


@dataclasses.dataclass(eq=False)
class ReadRawTruths(execution.Step):
    """Reads the ground truth of images of a raw data set.

    Attributes:
      images: of the data set.
      policy: of images that cannot be read.
    """

    images: Sequence[entries.ImageFile]
    policy: failures.Policy

    def expand(self, root: beam.Pipeline) -> Any:
        """Returns an `Outcome`: ground truth, and dead letters."""
        attempt = failures.Try(self.policy, _from_entry, _image_id)
        named = root | 'NameImages' >> beam.Create(self.images, reshuffle=True)
        return named | 'ReadLabels' >> failures.TryEach(attempt)


@dataclasses.dataclass(eq=False)
class ReadRecordTruths(execution.Step):
    """Reads the ground truth of records.

    Attributes:
      paths: addresses of the files.
      policy: of records that cannot be read.
    """

    paths: Sequence[str]
    policy: failures.Policy

    def expand(self, root: beam.Pipeline) -> Any:
        """Returns an `Outcome`: ground truth, and dead letters."""
        attempt = failures.Try(self.policy, _from_record, failures.record_size)
        read = root | lookup.ReadRecords(self.paths, self.policy)
        labelled = read.results | 'ReadLabels' >> failures.TryEach(attempt)
        return failures.Outcome(labelled.results, (read.letters, labelled.letters) | failures.JoinLetters())


def _from_entry(entry: entries.ImageFile) -> Iterator[pairs.Truth]:
    yield pairs.from_entry(entry)


def _from_record(serialized: bytes) -> Iterator[pairs.Truth]:
    yield pairs.from_record(serialized)


def _image_id(entry: entries.ImageFile) -> str:
    return entry.image_id
