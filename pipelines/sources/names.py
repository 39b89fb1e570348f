# SPDX-License-Identifier: Apache-2.0
"""Names of image files, as annotations, file systems and predictions write them, and how they are paired."""

import collections
import posixpath
import unicodedata
from collections.abc import Callable, Collection


def normal(path: str) -> str:
    """Writes a relative path so that equal names are equal: composed letters (NFC), single slashes, no './'.

    File systems and annotation tools differ in how they write é, and Windows writes backslashes.

    >>> normal('.\\\\batch\\\\cafe\\u0301.jpg'), normal('././batch//./a.jpg')
    ('batch/café.jpg', 'batch/a.jpg')
    """
    found = unicodedata.normalize('NFC', path).replace('\\', '/')
    # Most names are as they should be, and there are hundreds of thousands of them.
    return posixpath.normpath(found) if './' in found or '//' in found else found


def without_ending(path: str) -> str:
    """Returns the normal form of a path without its ending: the name of an image in records and predictions.

    >>> without_ending('batch/im.1.jpg')
    'batch/im.1'
    """
    return posixpath.splitext(normal(path))[0]


def last(path: str) -> str:
    """Returns a file's name without folder and ending."""
    return posixpath.basename(without_ending(path))


def pair(wanted: Collection[str], there: Collection[str]) -> dict[str, str]:
    """Pairs names of images: by whole names, without endings, without folders, then in lower case.

    A name takes part in a round while it has no partner, and if no other reads the same there.

    >>> pair(['val/1.jpg', 'a/2.png', 'b/2.png', '3.jpg'], ['1.jpg', 'a/2.tif', 'b/2.tif'])
    {'a/2.png': 'a/2.tif', 'b/2.png': 'b/2.tif', 'val/1.jpg': '1.jpg'}

    Returns:
      The partner from `there` by the name in `wanted`, both as they were given.
    """
    found: dict[str, str] = {}
    for key in (normal, without_ending, last, _folded):
        if len(found) == len(wanted):
            break
        taken = set(found.values())
        mine = _unique([name for name in wanted if name not in found], key)
        yours = _unique([name for name in there if name not in taken], key)
        found |= {name: yours[read] for read, name in mine.items() if read in yours}
    return found


def _folded(path: str) -> str:
    return last(path).casefold()


def _unique(names: Collection[str], key: Callable[[str], str]) -> dict[str, str]:
    read = list(map(key, names))
    counts = collections.Counter(read)
    return {one: name for one, name in zip(read, names, strict=True) if counts[one] == 1}
