# SPDX-License-Identifier: Apache-2.0
"""Predictions as the archives that test servers take; each form knows which it has."""

import re
import shutil
import zipfile

from panpipe.model import errors
from panpipe.model.storage import addresses, files
from panpipe.pipelines.formats import layout, members, registry

_DATE = (1980, 1, 1, 0, 0, 0)  # the same archive each time


def check(split: str, algorithm: str) -> None:
    """Refuses what cannot be part of a file's name.

    Raises:
      errors.InputError: it is empty, or has characters other than letters, digits and . _ + -
    """
    for option, part in {'--split': split, '--algorithm': algorithm}.items():
        if not re.fullmatch(r'[\w.+-]+', part):
            raise errors.InputError(
                f'{option} is {part!r}, which goes into the names of archives; use letters, digits, . _ + -'
            )


def write(folder: str, format_name: str, split: str, algorithm: str) -> list[str]:
    """Writes the archives of a folder of predictions into `archives/` in it, and returns their addresses."""
    wanted = registry.FORMATS[format_name].archives(folder, split, algorithm)
    place = addresses.join(folder, layout.ARCHIVES)
    return [_zip(addresses.join(place, name), content) for name, content in wanted.items() if content]


def _zip(path: str, content: members.Members) -> str:
    with files.created(path) as file, zipfile.ZipFile(file, 'w', zipfile.ZIP_DEFLATED) as archive:
        for name, member in content.items():
            entry = zipfile.ZipInfo(name, _DATE)
            # What is compressed already stays as it is.
            entry.compress_type = zipfile.ZIP_STORED if name.endswith('.png') else zipfile.ZIP_DEFLATED
            entry.external_attr = 0o644 << 16
            with archive.open(entry, 'w', force_zip64=True) as target, files.opened(member) as source:
                shutil.copyfileobj(source, target)
    return path
