# SPDX-License-Identifier: Apache-2.0
"""Writes the shards of a record set aside, one at a time, on workers.

A worker gets the name of a plan, so that nothing large goes through the runner. What it writes is whole or
not there, and the same each time: work that is done twice does no harm, finished shards serve a later run.
"""

import dataclasses
import functools
import json
import time
from typing import Any

import apache_beam as beam
import google_crc32c

from panpipe.model import errors
from panpipe.model.inputs import records
from panpipe.model.storage import addresses, files, manifest, tfrecords
from panpipe.pipelines import execution
from panpipe.pipelines.record_files import plans
from panpipe.pipelines.running import failures
from panpipe.pipelines.sources import entries

DONE = '.done'


@dataclasses.dataclass(frozen=True)
class Finished:
    """States what became of a shard.

    Attributes:
      shard: as the manifest lists it.
      skipped: images that were left out.
    """

    shard: manifest.Shard
    skipped: tuple[failures.DeadLetter, ...]

    def to_json(self) -> dict[str, Any]:
        """Makes the content of its `.done` file."""
        return {'shard': dataclasses.asdict(self.shard), 'skipped': [list(one) for one in self.skipped]}


def finished(staging: str, output: str, name: str) -> Finished | None:
    """Reads what became of a shard; None where it is not finished, or neither staged nor in its place."""
    path = addresses.join(staging, f'{name}{DONE}')
    if not files.exists(path):
        return None
    told = json.loads(files.read(path))
    shard = manifest.Shard(**told['shard'])
    if not any(_has_size(addresses.join(folder, name), shard.bytes) for folder in (staging, output)):
        return None
    return Finished(shard, tuple(failures.DeadLetter(*one) for one in told['skipped']))


@dataclasses.dataclass(eq=False)
class WriteShards(execution.Step):
    """Writes the shards whose names come in, each on one worker, and passes the names on.

    Attributes:
      staging: address of the staging folder.
      label_format: 'zlib' or 'raw'.
      policy: of images that cannot be read.
    """

    staging: str
    label_format: str
    policy: failures.Policy

    def expand(self, names: beam.PCollection) -> beam.PCollection:
        """Returns the names of shards that are written."""
        spread = names | 'SpreadShards' >> beam.Reshuffle()
        return spread | 'WriteShard' >> beam.Map(_write_counted, self.staging, self.label_format, self.policy)


def _write_counted(name: str, staging: str, label_format: str, policy: failures.Policy) -> str:
    started = time.monotonic()
    done = write(name, staging, label_format, policy)
    execution.count(
        images=done.shard.records,
        bytes=done.shard.bytes,
        skipped=len(done.skipped),
        worker_milliseconds=int(1000 * (time.monotonic() - started)),
    )
    return name


def write(name: str, staging: str, label_format: str, policy: failures.Policy) -> Finished:
    """Writes the shard of that name into the staging folder, then a file that says so.

    Raises:
      errors.InputError: an image or its annotation is missing or damaged, and the policy is to fail.
    """
    number = size = checksum = 0
    skipped = []
    with files.created(addresses.join(staging, name)) as file:
        for entry in plans.shard(staging, name).entries:
            content = policy.attempt(entry.image_id, functools.partial(_content, entry, label_format))
            if isinstance(content, failures.DeadLetter):
                skipped.append(content)
                continue
            file.write(content)
            number, size = number + 1, size + len(content)
            checksum = google_crc32c.extend(checksum, content)
    done = Finished(manifest.Shard(name, number, size, f'{checksum:08x}'), tuple(skipped))
    files.write_whole(addresses.join(staging, f'{name}{DONE}'), json.dumps(done.to_json()).encode())
    return done


def _content(entry: entries.ImageFile, label_format: str) -> bytes:
    return tfrecords.frame(records.serialize(entries.load(entry), label_format))


def _has_size(path: str, size: int) -> bool:
    try:
        return files.facts(path).size == size
    except (OSError, errors.InputError):
        return False
