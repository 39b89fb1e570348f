# SPDX-License-Identifier: Apache-2.0
"""Where a step writes large outputs: into its artifact, or under the address `work`, which no step copies.

WORK/records-1a2b3c4d5e/          what a job wrote
WORK/records-1a2b3c4d5e.json      once it is whole: the facts that it depends on, whose digest names it

The artifact then holds a small file that names the place. Runs that share `work` share what depends on the
same facts and nothing else; the next attempt of a step finds what the last one began.
"""

import dataclasses
import hashlib
import importlib.metadata
import json
import os
import pathlib
from collections.abc import Mapping
from typing import Any

from panpipe.model.storage import addresses, files

_POINTER = 'place.json'  # in an artifact: where its content lies
_DIGITS = 10  # of a digest in a name


@dataclasses.dataclass(frozen=True)
class Place:
    """Names the folder that a step writes.

    Attributes:
      folder: for the job to write; the artifact's own path without `work`.
      artifact: of the step, a kfp artifact.
      facts: what the content depends on.
    """

    folder: str
    artifact: Any
    facts: Mapping[str, str]

    @property
    def is_finished(self) -> bool:
        """True where an earlier attempt, or another run, wrote the same and all of it."""
        return self._is_elsewhere and files.exists(_marker(self.folder))

    def finish(self, *small: str) -> None:
        """Marks the content as complete, and makes the artifact refer to it.

        Args:
          small: names of files in the folder that are worth a copy in the artifact.
        """
        if not self._is_elsewhere:
            return
        files.write_whole(_marker(self.folder), _json(self.facts))
        for name in small:
            content = files.read(addresses.join(self.folder, name))
            files.write_whole(os.path.join(self.artifact.path, name), content)
        _point(self.artifact, self.folder, self.facts)

    @property
    def _is_elsewhere(self) -> bool:
        return self.folder != str(self.artifact.path)


def claim(artifact: Any, work: str, name: str, **facts: str) -> Place:
    """Chooses where a step writes.

    Args:
      artifact: of the step, a kfp artifact.
      work: address under which large things live; '' for the artifact itself.
      name: what the step makes, such as 'records'.
      facts: all that the content depends on.
    """
    if not work:
        return Place(artifact.path, artifact, facts)
    told = {**facts, 'panpipe': importlib.metadata.version('panpipe')}
    key = hashlib.sha256(_json(told)).hexdigest()[:_DIGITS]
    return Place(addresses.join(work, f'{name}-{key}'), artifact, told)


def follow(artifact: Any) -> str:
    """Returns the folder that a kfp artifact refers to."""
    pointer = pathlib.Path(artifact.path, _POINTER)
    return str(json.loads(pointer.read_text())['address']) if pointer.is_file() else str(artifact.path)


def refer(artifact: Any, to: Any, facts: Mapping[str, Any]) -> None:
    """Makes an artifact refer to what another one refers to, and sets its metadata."""
    # Without `work` the content lies in the other artifact, whose path means nothing in another step.
    place = follow(to)
    _point(artifact, place if place != str(to.path) else str(to.uri), facts)
    artifact.metadata.update(facts)


def _point(artifact: Any, address: str, facts: Mapping[str, Any]) -> None:
    artifact.metadata['address'] = address
    content = _json({'address': address, **facts})
    files.write_whole(os.path.join(artifact.path, _POINTER), content)


def _marker(folder: str) -> str:
    return f'{folder}.json'


def _json(content: Mapping[str, Any]) -> bytes:
    return json.dumps(content, indent=2, sort_keys=True).encode() + b'\n'
