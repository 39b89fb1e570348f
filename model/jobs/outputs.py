# SPDX-License-Identifier: Apache-2.0
"""Checks of where a job is to write, before its work."""

import os

from panpipe.model import errors
from panpipe.model.storage import addresses, files, reach


def check_file(option: str, path: str | os.PathLike[str]) -> None:
    """Refuses a path where no file can be written, or storage that does not answer; makes nothing.

    Args:
      option: the user gave it with, for example '--output'.
      path: of the file; folders above it need not be there.

    Raises:
      errors.InputError: it is no regular file, or no folder can be made above it.
    """
    reach.check(option, path)
    if addresses.is_remote(path):
        if files.is_folder(path):
            raise errors.InputError(f'{option} {path} is a folder; name a file to write')
        return
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
    reach.check(option, path)
    if addresses.is_remote(path):
        if files.is_file(path):
            raise errors.InputError(f'{option} {path} is a file; name a folder')
        return
    if os.path.lexists(path) and not os.path.isdir(path):
        raise errors.InputError(f'{option} {path} is a file; name a folder')
    _check_place(option, path, _absolute(path))


def nearest_folder(path: str | os.PathLike[str]) -> str:
    """Returns the first that is there already, be it a folder or not: the path, or what is above it."""
    place = _absolute(path)
    while not os.path.lexists(place):
        place = os.path.dirname(place)
    return place


def _absolute(path: str | os.PathLike[str]) -> str:
    return os.path.abspath(os.fspath(path))


def _check_place(option: str, path: str | os.PathLike[str], folder: str) -> None:
    place = nearest_folder(folder)
    if not os.path.isdir(place):
        raise errors.InputError(f'{option} {path}: {place} is no folder; choose another place')
    if not os.access(place, os.W_OK | os.X_OK):
        raise errors.InputError(f'{option} {path}: {place} must not be written; choose another place')
