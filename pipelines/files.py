# SPDX-License-Identifier: Apache-2.0
"""Finds and reads files, on this machine or wherever Beam's file systems reach (`gs://…`)."""

import glob
import os
import re
import shutil
from collections.abc import Sequence

from apache_beam.io import filesystem, filesystems

from panpipe.model import errors

_SHOWN = 6


def join(root: str, *parts: str) -> str:
    """Joins a folder and names below it."""
    return filesystems.FileSystems.join(root, *parts)


def find(root: str, pattern: str) -> list[str]:
    """Finds the files below `root` that match a pattern of * and ?, sorted by full path."""
    if '://' not in root:  # Beam cannot quote what a pattern would read as * ? [
        paths = glob.glob(join(glob.escape(root), pattern), include_hidden=True)
        return sorted(path for path in paths if os.path.isfile(path))
    matches = filesystems.FileSystems.match([join(root, pattern)])
    return sorted(metadata.path for metadata in matches[0].metadata_list)


def quoted(path: str) -> str:
    """Makes of a path a pattern of Beam's that matches it alone, if need be from the root on."""
    if '://' in path or not re.search(r'[*?[]', path):
        return path
    return re.sub(r'([*?[])', r'[\1]', os.path.abspath(path))


def exists(path: str) -> bool:
    """Tells whether there is such a file (or, on this machine, folder)."""
    return bool(filesystems.FileSystems.exists(path))


def delete(paths: Sequence[str]) -> None:
    """Deletes those files and folders that there are."""
    present = [path for path in paths if exists(path)]
    for path in [path for path in present if '://' not in path]:
        shutil.rmtree(path) if os.path.isdir(path) else os.remove(path)
    remote = [path for path in present if '://' in path]
    if remote:
        filesystems.FileSystems.delete(remote)


def read(path: str) -> bytes:
    """Reads a whole file.

    Raises:
      errors.InputError: it is missing or must not be read.
    """
    try:
        with filesystems.FileSystems.open(
            path, compression_type=filesystem.CompressionTypes.UNCOMPRESSED
        ) as file:
            return bytes(file.read())
    except (OSError, filesystem.BeamIOError) as error:
        reason = 'it is missing' if not exists(path) else str(error)
        raise errors.InputError(f'cannot read {path}: {reason}') from error


def check_folder(root: str) -> None:
    """Raises errors.InputError for a path of this machine that is not a folder."""
    if '://' not in root and not os.path.isdir(root):
        raise errors.InputError(f'{root} is not a folder; give the root of the raw data set')


def contents(root: str) -> str:
    """Describes the contents of a folder of this machine, for an error message."""
    if not os.path.isdir(root):
        return 'it could not be listed'
    names = sorted(name for name in os.listdir(root) if not name.startswith('.'))
    shown = ', '.join(names[:_SHOWN]) + (', …' if len(names) > _SHOWN else '')
    return f'it holds {shown}' if names else 'it is empty'
