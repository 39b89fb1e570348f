# SPDX-License-Identifier: Apache-2.0
"""What lies below a folder of people's data: files by their relative paths, and links that lead nowhere."""

import os
from typing import NamedTuple

from panpipe.model import errors
from panpipe.model.storage import addresses, files


class Tree(NamedTuple):
    """Holds what is below a folder `root`, by paths relative to it, sorted."""

    root: str
    files: tuple[str, ...]
    broken: tuple[str, ...]


def read(root: str) -> Tree:
    """Lists all files below a folder, in linked folders too, but for hidden ones (`.name`).

    Raises:
      errors.InputError: a folder must not be read, or a name is not UTF-8.
    """
    if addresses.is_remote(root):
        start = len(root.rstrip('/')) + 1
        paths = [facts.path[start:] for facts in files.tree(root)]
        return Tree(root, tuple(path for path in paths if not _is_hidden(path)), ())
    found: list[str] = []
    broken: list[str] = []
    for place, folders, names in os.walk(root, followlinks=True, onerror=_refuse):
        folders[:] = [name for name in folders if not name.startswith('.')]
        if place != root and os.path.islink(place) and _leads_up(place, root):
            folders[:] = []
            continue
        inner = os.path.relpath(place, root)
        before = '' if inner == os.curdir else f'{inner}{os.sep}'
        for name in (name for name in names if not name.startswith('.')):
            path = os.path.join(place, name)
            is_file = os.path.isfile(path)
            if is_file or not os.path.exists(path):
                (found if is_file else broken).append(before + name)
    for path in (*found, *broken):
        _check_name(path, root)
    return Tree(root, tuple(sorted(found)), tuple(sorted(broken)))


def _check_name(path: str, root: str) -> None:
    """Refuses a name that neither records nor JSON files can hold."""
    try:
        path.encode()
    except UnicodeEncodeError as error:
        raise errors.InputError(
            f'{root} holds a file whose name is not UTF-8, {path!a}; rename it'
        ) from error


def _refuse(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError | NotADirectoryError):
        raise errors.InputError(f'cannot list {error.filename}: {error.strerror}') from error


def _leads_up(link: str, root: str) -> bool:
    """Tells whether a linked folder is one of those that it lies in: to follow it would never end."""
    real, above = os.path.realpath(link), [root]
    for part in os.path.relpath(os.path.dirname(link), root).split(os.sep):
        above.append(os.path.join(above[-1], part))
    return any(os.path.realpath(folder) == real for folder in above)


def _is_hidden(path: str) -> bool:
    return any(part.startswith('.') for part in path.split('/'))
