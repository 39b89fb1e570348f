# SPDX-License-Identifier: Apache-2.0
"""A fingerprint of what is stored at an address, without reading it."""

import hashlib
import os
from collections.abc import Iterator

from panpipe.model import errors
from panpipe.model.storage import addresses, files, reach

NO_DATA = 'toy'


def digest(address: str) -> str:
    """Fingerprints an address by its listing: names, sizes and modification times, no contents.

    Args:
      address: of a data set; '' stands for toy data, whose parameters say all about it.

    Returns:
      16 hexadecimal digits, which change when a file is added, removed, renamed or written.

    Raises:
      errors.InputError: there is no such folder, or it is empty.
    """
    if not address:
        return NO_DATA
    seen = hashlib.sha256()
    is_empty = True
    for line in _listing(address):
        seen.update(line.encode() + b'\0')
        is_empty = False
    if is_empty:
        raise errors.InputError(f'raw_data {address} holds no file; give the root of the raw data set')
    return seen.hexdigest()[:16]


def _listing(address: str) -> Iterator[str]:
    """Yields a line a file, in the order of their names; follows links to folders."""
    if addresses.is_remote(address):
        reach.check('raw_data', address)
        for found in files.tree(address):
            yield f'{found.path.removeprefix(address)} {found.size} {found.modified}'
        return
    if not os.path.isdir(address):
        raise errors.InputError(f'raw_data {address} is no folder; give the root of the raw data set')
    for folder, inner, names in os.walk(address, followlinks=True):
        inner.sort()
        for name in sorted(names):
            path = os.path.join(folder, name)
            facts = os.stat(path) if os.path.exists(path) else os.lstat(path)
            yield f'{os.path.relpath(path, address)} {facts.st_size} {facts.st_mtime_ns}'
