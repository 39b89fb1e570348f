# SPDX-License-Identifier: Apache-2.0
"""What `panpipe export` notes beside a SavedModel: what it predicts, and how it was made."""

import dataclasses
import json

from panpipe.model import errors
from panpipe.model.storage import addresses, descriptions, files, typed_json

# The place that TensorFlow Serving leaves to the exporter's own facts.
NAME = 'assets.extra/panpipe.json'


@dataclasses.dataclass(frozen=True)
class Facts:
    """Describes a SavedModel.

    Attributes:
      dataset: name of the data set that it was trained on.
      uses_op: it needs the compiled ops.
      has_instances: it is instance-aware; else semantic-only.
      config: the experiment, as text.
      version: of the program that wrote it.
      description: of a custom data set; earlier versions did not keep it.
    """

    dataset: str
    uses_op: bool
    has_instances: bool
    config: str = ''
    version: str = ''
    description: descriptions.Description | None = None

    @property
    def kept(self) -> descriptions.Named:
        """The data set that the model was trained on."""
        return descriptions.Named(self.dataset, self.description)


def read(folder: addresses.Address) -> Facts:
    """Reads the facts of a SavedModel.

    Raises:
      errors.InputError: the folder is no SavedModel of panpipe.
    """
    if not files.is_file(addresses.join(folder, 'saved_model.pb')):
        raise errors.InputError(f'{folder} holds no saved_model.pb; make one with `panpipe export`')
    path = addresses.join(folder, NAME)
    try:
        return typed_json.decode(Facts, json.loads(files.read(path)))
    except (ValueError, RecursionError) as error:
        raise errors.InputError(
            f'{path} cannot be read ({type(error).__name__}: {error}); export the model again with '
            '`panpipe export`'
        ) from error


def write(folder: addresses.Address, facts: Facts) -> None:
    """Writes the facts of a SavedModel."""
    content = json.dumps(typed_json.encode(facts), indent=2).encode() + b'\n'
    files.write_whole(addresses.join(folder, NAME), content)
