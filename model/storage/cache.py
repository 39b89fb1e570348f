# SPDX-License-Identifier: Apache-2.0
"""Local copies that last: of records, checkpoints and SavedModels, where TensorFlow cannot read them.

TensorFlow reads and writes `gs://`, but not where STORAGE_EMULATOR_HOST says, nor `s3://`. Copies lie in
$PANPIPE_CACHE, or in a folder of this user's below the one for temporary files. What changes is copied anew.
"""

import hashlib
import os
import tempfile
from collections.abc import Iterable, Sequence

from panpipe.model.storage import addresses, files, reach

VARIABLE = 'PANPIPE_CACHE'
_EMULATOR = 'STORAGE_EMULATOR_HOST'


def is_tensorflow(address: addresses.Address) -> bool:
    """Returns whether TensorFlow itself reads and writes there."""
    found = addresses.scheme(address)
    return not found or (found == 'gs' and not os.environ.get(_EMULATOR))


def records(paths: Sequence[str]) -> list[str]:
    """Returns paths of files of records that TensorFlow reads, in the same order."""
    return [
        path if is_tensorflow(path) else os.path.join(_copied([files.facts(path)]), addresses.name(path))
        for path in paths
    ]


def tree(option: str, address: addresses.Address) -> str:
    """Returns a folder that TensorFlow reads, with the content of one anywhere.

    Args:
      option: the user gave it with, for errors.
      address: of a folder; one that is not there is returned as it is.

    Raises:
      errors.InputError: storage cannot be reached.
    """
    text = os.fspath(address)
    if is_tensorflow(text):
        return text
    reach.check(option, text)
    found = files.tree(text)
    return _copied(found, text.rstrip('/')) if found else text


def checkpoint(address: addresses.Address) -> str:
    """Returns the prefix of a checkpoint, or a folder of some, that TensorFlow reads."""
    text = os.fspath(address)
    if is_tensorflow(text):
        return text
    reach.check('checkpoint', text)
    if files.is_folder(text):
        return tree('checkpoint', text)
    found = files.match(f'{addresses.escaped(text)}.*')
    return os.path.join(_copied(found), addresses.name(text)) if found else text


def _copied(found: Iterable[files.Facts], root: str = '') -> str:
    """Returns a folder that holds copies of files, under their names below `root`, or their last names."""
    listed = list(found)
    told = '\n'.join(f'{one.path} {one.size} {one.modified}' for one in listed)
    place = os.path.join(_folder(), hashlib.sha256(told.encode()).hexdigest()[:24])
    for one in listed:
        name = one.path.removeprefix(f'{root}/') if root else addresses.name(one.path)
        copy = os.path.join(place, name)
        if not os.path.exists(copy):
            files.download(one.path, copy)
    return place


def _folder() -> str:
    default = os.path.join(tempfile.gettempdir(), f'panpipe-cache-{os.getuid()}')
    return os.environ.get(VARIABLE) or default
