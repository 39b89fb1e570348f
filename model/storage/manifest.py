# SPDX-License-Identifier: Apache-2.0
"""The manifest of a record set: which files make it up, and what is in them.

`panpipe convert` writes it last, as `manifest.json` beside the shards; so what it names is whole.
"""

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from typing import Any, Self

from panpipe.model import errors
from panpipe.model.storage import addresses, descriptions, files, typed_json

NAME = 'manifest.json'
SCHEMA = 1


@dataclasses.dataclass(frozen=True)
class Shard:
    """States what one file of records holds.

    Attributes:
      name: of the file, in the folder of the manifest.
      records: how many.
      bytes: its size.
      crc32c: checksum of the file, eight hexadecimal digits.
    """

    name: str
    records: int
    bytes: int
    crc32c: str


@dataclasses.dataclass(frozen=True)
class Split:
    """States what a split holds.

    Attributes:
      images: how many, in all shards.
      label_format: 'zlib' or 'raw'.
      has_instances: labels are instance-aware; else semantic-only.
      shards: its files, in order.
      plan: digest of the inputs and options that they were made of.
    """

    images: int
    label_format: str
    has_instances: bool
    shards: tuple[Shard, ...]
    plan: str = ''


@dataclasses.dataclass(frozen=True)
class Manifest:
    """Describes a record set.

    Attributes:
      dataset: name of the data set.
      panpipe: version of the program that wrote it.
      splits: by name.
      description: of a custom data set; earlier versions did not keep it.
    """

    dataset: str
    panpipe: str
    splits: Mapping[str, Split]
    description: descriptions.Description | None = None

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Self:
        """Reads the content of the file.

        Raises:
          ValueError: it is of another form.
        """
        told = dict(content)
        schema = told.pop('schema', None)
        if schema != SCHEMA:
            raise ValueError(f'schema is {schema!r}, this version reads {SCHEMA}')
        return typed_json.decode(cls, told)

    def to_json(self) -> dict[str, Any]:
        """Makes the content of the file."""
        return {'schema': SCHEMA, **typed_json.encode(self)}

    @property
    def kept(self) -> descriptions.Named:
        """The data set that the records were made of."""
        return descriptions.Named(self.dataset, self.description)

    def shard(self, name: str) -> Shard | None:
        """Finds a file by its name."""
        shards = (shard for split in self.splits.values() for shard in split.shards)
        return next((shard for shard in shards if shard.name == name), None)

    def digest(self) -> str:
        """Computes what two manifests of the same content share, wherever they are."""
        return hashlib.sha256(json.dumps(self.to_json(), sort_keys=True).encode()).hexdigest()


def read(folder: addresses.Address) -> Manifest | None:
    """Reads the manifest of a folder of records; None where there is none.

    Raises:
      errors.InputError: it is damaged, or of another version of panpipe.
    """
    path = addresses.join(folder, NAME)
    if not files.is_file(path):
        return None
    try:
        return Manifest.from_json(json.loads(files.read(path)))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        if isinstance(error, errors.InputError):
            raise
        raise errors.InputError(
            f'{path} is damaged or of another version ({type(error).__name__}: {error}); '
            'convert the data again'
        ) from error


def write(folder: addresses.Address, manifest: Manifest) -> None:
    """Writes the manifest of a folder of records, whole."""
    content = json.dumps(manifest.to_json(), indent=2).encode() + b'\n'
    files.write_whole(addresses.join(folder, NAME), content)
