# SPDX-License-Identifier: Apache-2.0
"""The root folder of a raw data set, and what error messages say of it."""

import os

from panpipe.model import errors
from panpipe.model.storage import files

_SHOWN = 6


def check_folder(root: str) -> None:
    """Raises errors.InputError for what is not a folder."""
    if not files.is_folder(root):
        raise errors.InputError(f'{root} is not a folder; give the root of the raw data set')


def contents(root: str) -> str:
    """Lists the first names in a folder, for an error message."""
    if not files.is_folder(os.fspath(root)):
        return 'it could not be listed'
    names = [name for name in files.names(root) if not name.startswith('.')]
    shown = ', '.join(names[:_SHOWN]) + (', …' if len(names) > _SHOWN else '')
    return f'it holds {shown}' if names else 'it is empty'
