# SPDX-License-Identifier: Apache-2.0
"""Raw data in the storage room: what sources find, read, and say of it."""

import os

from panpipe.model import errors
from panpipe.model.storage import addresses
from panpipe.model.storage import files as storage

join = addresses.join
find = storage.find
exists = storage.exists
read = storage.read

_SHOWN = 6


def check_folder(root: str) -> None:
    """Raises errors.InputError for what is not a folder."""
    if not storage.is_folder(root):
        raise errors.InputError(f'{root} is not a folder; give the root of the raw data set')


def contents(root: str) -> str:
    """Says for an error message what a folder holds."""
    if not storage.is_folder(os.fspath(root)):
        return 'it could not be listed'
    names = [name for name in storage.names(root) if not name.startswith('.')]
    shown = ', '.join(names[:_SHOWN]) + (', …' if len(names) > _SHOWN else '')
    return f'it holds {shown}' if names else 'it is empty'
