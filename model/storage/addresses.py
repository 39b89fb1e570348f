# SPDX-License-Identifier: Apache-2.0
"""Addresses of data: a path of this machine, or `gs://bucket/name`, `s3://bucket/name`, `memory://name`.

Nothing here touches storage.
"""

import glob
import os
import re
from collections.abc import Mapping

from panpipe.model import errors

# Schemes by the package that serves them besides fsspec; '' where fsspec alone does.
SCHEMES: Mapping[str, str] = {'gs': 'gcsfs', 's3': 's3fs', 'memory': ''}
_SCHEME = re.compile(r'([A-Za-z][A-Za-z0-9+.-]*):/')
_PATTERN = re.compile(r'[*?[]')

Address = str | os.PathLike[str]


def is_remote(address: Address) -> bool:
    """Returns whether an address has a scheme; all others are paths of this machine.

    >>> is_remote('gs://bucket/records'), is_remote('records')
    (True, False)
    """
    return '://' in os.fspath(address)


def scheme(address: Address) -> str:
    """Returns what stands before `://`, '' for a path of this machine."""
    text = os.fspath(address)
    return text.partition('://')[0] if is_remote(text) else ''


def check(option: str, address: Address) -> None:
    """Refuses an address that no storage here serves; touches nothing.

    Args:
      option: the user gave it with, for example '--output'.
      address: what the user gave; may hold wildcards.

    Raises:
      errors.InputError: the scheme is unknown or misspelt, or the bucket is missing.
    """
    text = os.fspath(address)
    match = _SCHEME.match(text)
    if not match:
        return
    found = match[1]
    if found not in SCHEMES or not is_remote(text):
        known = ', '.join(f'{name}://' for name in SCHEMES if name != 'memory')
        raise errors.InputError(f'{option} {text}: write a path of this machine, or an address of {known}')
    if not parts(text)[1]:
        raise errors.InputError(f'{option} {text} names no bucket; write {found}://BUCKET/NAME')


def parts(address: str) -> tuple[str, str, str]:
    """Splits `scheme://bucket/name` into scheme, bucket and name."""
    found, _, rest = address.partition('://')
    bucket, _, name = rest.lstrip('/').partition('/')
    return found, bucket, name


def join(root: Address, *inner: str) -> str:
    """Joins a folder and names below it.

    >>> join('gs://bucket/', 'records', 'manifest.json'), join('records', 'manifest.json')
    ('gs://bucket/records/manifest.json', 'records/manifest.json')
    """
    text = os.fspath(root)
    if is_remote(text):
        return '/'.join([text.rstrip('/') if parts(text)[1] else text, *(part.strip('/') for part in inner)])
    return os.path.join(text, *inner)


def name(address: Address) -> str:
    """Returns the last part of an address.

    >>> name('gs://bucket/records/'), name('a/b.png')
    ('records', 'b.png')
    """
    return os.fspath(address).rstrip('/').rpartition('/')[2]


def parent(address: Address) -> str:
    """Returns the folder that an address is in.

    >>> parent('gs://bucket/records/manifest.json'), parent('manifest.json')
    ('gs://bucket/records', '.')
    """
    text = os.fspath(address).rstrip('/')
    if is_remote(text):
        return text.rpartition('/')[0]
    return os.path.dirname(text) or '.'


def absolute(address: Address) -> str:
    """Makes a path mean the same in every working folder; an address already does.

    >>> absolute('gs://bucket/records/')
    'gs://bucket/records'
    """
    text = os.fspath(address)
    return text.rstrip('/') if is_remote(text) else os.path.abspath(text)


def is_pattern(address: Address) -> bool:
    """Returns whether an address holds the wildcards `*`, `?` or `[`."""
    return bool(_PATTERN.search(os.fspath(address)))


def escaped(address: Address) -> str:
    """Quotes what a pattern would read as wildcards."""
    return glob.escape(os.fspath(address))


def listed(patterns: str) -> list[str]:
    """Splits comma-separated patterns.

    >>> listed('a/train*, b/train*')
    ['a/train*', 'b/train*']
    """
    return [part.strip() for part in patterns.split(',') if part.strip()]
