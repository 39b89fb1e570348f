# SPDX-License-Identifier: Apache-2.0
"""Outputs on this machine: checked before the work, written whole after it."""

import contextlib
import os

from panpipe.model import errors

PARTIAL = '.partial'  # ends the names of files that are not whole yet


def check_file(option: str, path: str | os.PathLike[str]) -> None:
    """Refuses a path where no file can be written; makes nothing. Paths with a scheme (`gs://…`) pass.

    Args:
      option: the user gave it with, for example '--output'.
      path: of the file; folders above it need not be there.

    Raises:
      errors.InputError: it is no regular file, or no folder can be made above it.
    """
    if os.path.isdir(_absolute(path)):
        raise errors.InputError(f'{option} {path} is a folder; name a file to write')
    if os.path.exists(path) and not os.path.isfile(path):
        raise errors.InputError(f'{option} {path} is no regular file; name another')
    _check_place(option, path, os.path.dirname(_absolute(path)))


def check_folder(option: str, path: str | os.PathLike[str]) -> None:
    """Refuses a path where no folder can be made, or written into; makes nothing. As `check_file`.

    Raises:
      errors.InputError: it, or something above it, is a file, or must not be written.
    """
    if os.path.lexists(path) and not os.path.isdir(path):
        raise errors.InputError(f'{option} {path} is a file; name a folder')
    _check_place(option, path, _absolute(path))


def nearest_folder(path: str | os.PathLike[str]) -> str:
    """Returns the first that is there already, be it a folder or not: the path, or what is above it."""
    place = _absolute(path)
    while not os.path.lexists(place):
        place = os.path.dirname(place)
    return place


def write_whole(path: str | os.PathLike[str], content: bytes) -> None:
    """Writes a file aside and renames it; makes the folders above it.

    A worker may be stopped at any moment, or do an image twice.
    """
    aside = f'{os.fspath(path)}.{os.getpid()}{PARTIAL}'
    os.makedirs(os.path.dirname(aside) or '.', exist_ok=True)
    try:
        with open(aside, 'wb') as file:
            file.write(content)
        os.replace(aside, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.remove(aside)
        raise


def _absolute(path: str | os.PathLike[str]) -> str:
    return os.path.abspath(os.fspath(path))


def _check_place(option: str, path: str | os.PathLike[str], folder: str) -> None:
    if '://' in os.fspath(path):
        return
    place = nearest_folder(folder)
    if not os.path.isdir(place):
        raise errors.InputError(f'{option} {path}: {place} is no folder; choose another place')
    if not os.access(place, os.W_OK | os.X_OK):
        raise errors.InputError(f'{option} {path}: {place} must not be written; choose another place')
