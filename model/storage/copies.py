# SPDX-License-Identifier: Apache-2.0
"""Local copies for jobs that know local files only: brought here before the work, taken away after it."""

import argparse
import contextlib
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from panpipe.model import errors
from panpipe.model.storage import addresses, files, manifest, reach, record_sets


class Copies:
    """Holds local copies in a temporary folder, gone with the `with` block that makes it."""

    def __init__(self, folder: str) -> None:
        """Takes an empty folder."""
        self._folder = folder
        self._addresses: dict[str, str] = {}

    def tree(self, option: str, address: addresses.Address) -> str:
        """Returns a path with the content of a folder or file: a copy, or the path itself if it is local.

        Raises:
          errors.InputError: storage cannot be reached, or there is nothing.
        """
        text = os.fspath(address)
        reach.check(option, text)
        if not addresses.is_remote(text):
            return text
        if not files.exists(text):
            raise errors.InputError(f'{option} {text} does not exist; correct the address')
        place = self._place(text)
        if files.is_folder(text):
            files.copy_tree(text, place)
        else:  # with what lies beside it under the same name but for the ending
            stem = addresses.name(text).partition('.')[0]
            beside = addresses.join(addresses.escaped(addresses.parent(text)), f'{addresses.escaped(stem)}*')
            for told in files.match(beside):
                if addresses.name(told.path).partition('.')[0] == stem:
                    files.download(told.path, os.path.join(os.path.dirname(place), addresses.name(told.path)))
        return place

    def records(self, option: str, patterns: str) -> str:
        """Returns patterns whose records are on this machine, with their manifests."""
        return ','.join(self._records(option, pattern) for pattern in addresses.listed(patterns))

    def output(self, option: str, address: addresses.Address) -> str:
        """Returns a path to write what will be at an address; `publish` takes it there."""
        text = os.fspath(address)
        reach.check(option, text)
        return self._place(text) if addresses.is_remote(text) else text

    def publish(self, path: str, last: Sequence[str] = ()) -> None:
        """Copies what was written for `output` to its address; a local one is in place already."""
        if path in self._addresses and os.path.exists(path):
            files.copy_tree(path, self._addresses[path], last)

    def told(self, text: str) -> str:
        """Names in a message the addresses that the user knows, not the copies."""
        for path, address in self._addresses.items():
            text = text.replace(path, address)
        return text

    def _place(self, address: str) -> str:
        place = os.path.join(self._folder, str(len(self._addresses)), addresses.name(address))
        os.makedirs(os.path.dirname(place))
        self._addresses[place] = address.rstrip('/')
        return place

    def _records(self, option: str, pattern: str) -> str:
        if not addresses.is_remote(pattern):
            return pattern
        found = record_sets.find(option, [pattern])
        folders: Mapping[str, str] = {
            folder: self._place(folder) for folder in dict.fromkeys(addresses.parent(f.path) for f in found)
        }
        for folder, place in folders.items():
            if files.exists(addresses.join(folder, manifest.NAME)):
                files.download(addresses.join(folder, manifest.NAME), os.path.join(place, manifest.NAME))
        for told in found:
            place = folders[addresses.parent(told.path)]
            files.download(told.path, os.path.join(place, addresses.name(told.path)))
        return ','.join(f'{addresses.escaped(place)}/*' for place in folders.values())


@contextlib.contextmanager
def holding() -> Iterator[Copies]:
    """Yields a holder of local copies; messages of mistakes inside name addresses."""
    with tempfile.TemporaryDirectory(prefix='panpipe-') as folder:
        held = Copies(folder)
        try:
            yield held
        except (errors.InputError, errors.JobError) as error:
            kind = errors.JobError if isinstance(error, errors.JobError) else errors.InputError
            raise kind(held.told(str(error))) from error


def run(
    body: Callable[[argparse.Namespace], None],
    arguments: argparse.Namespace,
    inputs: Sequence[str] = (),
    output: str = 'output',
    kind: Callable[[str], Any] = str,
) -> None:
    """Runs a job that works on local files, with copies where its options name addresses.

    Args:
      body: of the job; gets the arguments with paths for addresses, and as `given` those of the user.
      arguments: as given; unset options are left alone.
      inputs: names of options whose files and folders are read.
      output: name of the option whose file or folder is written.
      kind: makes of a path what the job takes, such as `pathlib.Path`.

    Raises:
      errors.InputError: storage cannot be reached, or lacks an input.
    """
    with holding() as held:
        given: dict[str, Any] = vars(arguments)
        wanted = held.output(f'--{output}', given[output]) if given.get(output) else None
        read = {name: held.tree(f'--{name}', given[name]) for name in inputs if given.get(name)}
        if wanted is not None:
            read[output] = wanted
        typed = {name: kind(path) for name, path in read.items()}
        body(argparse.Namespace(**{**given, **typed, 'given': arguments}))
        if wanted is not None:
            held.publish(wanted)
