# SPDX-License-Identifier: Apache-2.0
"""The plan of a conversion: which images go into which file, kept in a staging folder for workers.

The folder is named after a digest of the plan, so a repeated command finds what an interrupted one finished.
It holds `plan.json`, `NAME.plan` (the images of a shard), and for each finished shard NAME and `NAME.done`.
"""

import dataclasses
import hashlib
import json
import os
import pickle
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Self

from panpipe.model.storage import addresses, descriptions, files, record_sets, typed_json
from panpipe.pipelines.sources import entries

_PLAN = 'plan.json'
STAGING = '.convert-'
# A shard has this many bytes of image files, as far as that leaves work for some workers.
_SHARD_BYTES = 128 * 2**20
_FEWEST_SHARDS = 10


@dataclasses.dataclass(frozen=True)
class Shard:
    """Lists what goes into one file.

    Attributes:
      split: 'train', 'val', …
      index: of this file.
      count: of the split's files.
      entries: the images, in order.
    """

    split: str
    index: int
    count: int
    entries: tuple[entries.ImageFile, ...]

    @property
    def name(self) -> str:
        """File name, which says split, index and count."""
        return f'{self.split}-{self.index:05d}-of-{self.count:05d}{record_sets.SUFFIX}'


@dataclasses.dataclass(frozen=True)
class Plan:
    """States what the step that publishes needs to know.

    Attributes:
      digest: of the inputs' names, sizes and times, the options, and the program's version.
      dataset: name of the data set.
      version: of the program.
      label_format: 'zlib' or 'raw'.
      has_instances: labels are instance-aware.
      shards: names of the files by split.
      description: of a custom data set.
    """

    digest: str
    dataset: str
    version: str
    label_format: str
    has_instances: bool
    shards: Mapping[str, tuple[str, ...]]
    description: descriptions.Description | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """Names of all files."""
        return tuple(name for names in self.shards.values() for name in names)

    def staging(self, output: str) -> str:
        """Names the staging folder."""
        return addresses.join(output, f'{STAGING}{self.digest[:16]}')

    def save(self, staging: str, shards: Iterable[Shard]) -> None:
        """Writes the plan and those of the shards, if they are not there."""
        if files.exists(addresses.join(staging, _PLAN)):
            return
        for shard in shards:
            files.write_whole(addresses.join(staging, f'{shard.name}.plan'), pickle.dumps(shard))
        content = json.dumps(typed_json.encode(self)).encode()
        files.write_whole(addresses.join(staging, _PLAN), content)

    @classmethod
    def read(cls, staging: str) -> Self:
        """Reads the plan of a staging folder.

        Raises:
          errors.InputError: there is none.
        """
        return typed_json.decode(cls, json.loads(files.read(addresses.join(staging, _PLAN))))


def shard(staging: str, name: str) -> Shard:
    """Reads the plan of one shard."""
    found: Shard = pickle.loads(files.read(addresses.join(staging, f'{name}.plan')))
    return found


def deal(split: str, found: Sequence[entries.ImageFile], count: int) -> list[Shard]:
    """Deals images out in contiguous runs of ceil(images / count); the last shards may be short or empty."""
    size = -(-len(found) // count)
    return [Shard(split, i, count, tuple(found[i * size : (i + 1) * size])) for i in range(count)]


def shard_count(num_images: int, num_bytes: int) -> int:
    """Chooses the number of files of a split: of some 128 MB, but some for several workers to share.

    >>> shard_count(2975, 7 * 2**30), shard_count(500, 2**30), shard_count(3, 2**20)
    (56, 10, 3)
    """
    return max(-(-num_bytes // _SHARD_BYTES), min(_FEWEST_SHARDS, num_images), 1)


def facts(found: Sequence[entries.ImageFile]) -> Iterator[files.Facts]:
    """Looks up sizes and times of images and annotations, those that are there.

    An object store is asked once a folder, not once a file.
    """
    is_remote = bool(found) and addresses.is_remote(found[0].path)
    paths = (path for entry in found for path in _paths(entry))
    if not is_remote:
        yield from (files.facts(path) for path in paths if os.path.exists(path))
        return
    listed = {}
    for folder in dict.fromkeys(map(addresses.parent, paths)):
        told = files.match(addresses.join(addresses.escaped(folder), '*'))
        listed.update({one.path: one for one in told})
    yield from (listed[path] for entry in found for path in _paths(entry) if path in listed)


def _paths(entry: entries.ImageFile) -> tuple[str, ...]:
    return (entry.path,) if entry.label is None else (entry.path, entry.label.path)


class Inputs:
    """Sums up files without keeping what is known of each.

    Attributes:
      size: bytes of all.
    """

    def __init__(self) -> None:
        """Knows no file yet."""
        self.size = 0
        self._hash = hashlib.sha256()

    def add(self, told: files.Facts) -> None:
        """Adds a file."""
        self.size += told.size
        self._hash.update(f'{told.path}\n{told.size}\n{told.modified}\n'.encode())

    def digest(self) -> str:
        """Returns what two lists of files share that name the same ones, of the same sizes and times."""
        return self._hash.hexdigest()


def digest(options: Mapping[str, Any]) -> str:
    """Computes what two runs share that make the same files."""
    return hashlib.sha256(json.dumps(options, sort_keys=True).encode()).hexdigest()
