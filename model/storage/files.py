# SPDX-License-Identifier: Apache-2.0
"""The storage room: opens, lists, writes, copies and deletes files, wherever they are.

Paths of this machine go through the operating system, addresses through fsspec: `gs://` by gcsfs, `s3://` by
s3fs, `memory://` for tests. Listings are never taken from a cache, because workers elsewhere write, too.
"""

import contextlib
import dataclasses
import glob
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from typing import IO, Any, cast

import fsspec

from panpipe.model import errors
from panpipe.model.storage import addresses

Address = addresses.Address
PARTIAL = '.partial'  # ends the names of files that are not whole yet
_SPOOLED = 8 * 2**20  # bytes of a file in the making that stay in memory
_EMULATOR = 'STORAGE_EMULATOR_HOST'
# Of gcsfs: it probes for hierarchical buckets over gRPC, which emulators do not serve.
_EXTENSIONS = 'GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT'


@dataclasses.dataclass(frozen=True, slots=True)
class Facts:
    """States what a listing knows of a file.

    Attributes:
      path: its address.
      size: in bytes.
      modified: when it was written, in a form that only comparison understands; '' where that is not told.
    """

    path: str
    size: int
    modified: str


def system(address: Address) -> fsspec.AbstractFileSystem:
    """Returns the file system that serves an address.

    Raises:
      errors.InputError: the scheme is unknown, or its package is not installed.
    """
    found = addresses.scheme(address) or 'file'
    settings: dict[str, Any] = {}
    if found in ('gs', 's3'):
        settings['use_listings_cache'] = False
    if found == 'gs' and os.environ.get(_EMULATOR):
        os.environ.setdefault(_EXTENSIONS, 'false')
        settings['token'] = 'anon'
    try:
        return fsspec.filesystem(found, **settings)
    except ImportError as error:
        package = addresses.SCHEMES.get(found) or found
        raise errors.InputError(
            f'{os.fspath(address)}: {found}:// needs the package {package}; pip install {package}'
        ) from error
    except ValueError as error:
        raise errors.InputError(f'{os.fspath(address)}: {error}') from error


def read(address: Address) -> bytes:
    """Reads a whole file.

    Raises:
      errors.InputError: it is missing or must not be read.
    """
    path = os.fspath(address)
    try:
        if not addresses.is_remote(path):
            with open(path, 'rb') as file:
                return file.read()
        return cast(bytes, system(path).cat_file(path))
    except Exception as error:
        raise unreadable(path, error) from error


def unreadable(address: Address, error: Exception) -> errors.InputError:
    """Makes the error of a file that storage does not give."""
    is_missing = isinstance(error, FileNotFoundError | NotADirectoryError)
    why = 'it is missing' if is_missing else f'{reason(error)}; check the file, its rights and where it lies'
    return errors.InputError(f'cannot read {os.fspath(address)}: {why}')


@contextlib.contextmanager
def naming(path: str) -> Iterator[None]:
    """Adds a path to failures in the block that tell none, as those of reading and writing an open file."""
    try:
        yield
    except OSError as error:
        if error.errno and not error.filename:
            error.filename = path
        raise


@contextlib.contextmanager
def opened(address: Address) -> Iterator[IO[bytes]]:
    """Opens a file for reading, in order or by `seek`."""
    path = os.fspath(address)
    remote = system(path) if addresses.is_remote(path) else None
    with naming(path), remote.open(path, 'rb') if remote else open(path, 'rb') as file:
        yield file


@contextlib.contextmanager
def created(address: Address) -> Iterator[IO[bytes]]:
    """Yields a file to write, which appears whole at the end of the block, or not at all.

    On this machine it is written aside and renamed. On an object store it is gathered in a temporary file and
    put at once, which takes one request and no copy.
    """
    path = os.fspath(address)
    if addresses.is_remote(path):
        with tempfile.TemporaryDirectory(prefix='panpipe-') as scratch:
            aside = os.path.join(scratch, 'content')
            with naming(aside), open(aside, 'w+b') as file:
                yield file
            upload(aside, path)
        return
    aside = f'{path}.{os.getpid()}{PARTIAL}'
    os.makedirs(os.path.dirname(aside) or '.', exist_ok=True)
    try:
        with naming(path), open(aside, 'wb') as file:
            yield file
        os.replace(aside, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.remove(aside)
        raise


def write_whole(address: Address, content: bytes) -> None:
    """Writes a file that appears whole or not at all; makes the folders above it."""
    path = os.fspath(address)
    if addresses.is_remote(path):
        system(path).pipe_file(path, content)
        return
    with created(path) as file:
        file.write(content)


def exists(address: Address) -> bool:
    """Returns whether there is such a file or folder."""
    path = os.fspath(address)
    return bool(system(path).exists(path)) if addresses.is_remote(path) else os.path.lexists(path)


def is_folder(address: Address) -> bool:
    """Returns whether there is such a folder; on an object store, files whose names begin with it."""
    path = os.fspath(address)
    return bool(system(path).isdir(path)) if addresses.is_remote(path) else os.path.isdir(path)


def is_file(address: Address) -> bool:
    """Returns whether there is such a file."""
    path = os.fspath(address)
    return bool(system(path).isfile(path)) if addresses.is_remote(path) else os.path.isfile(path)


def names(folder: Address) -> list[str]:
    """Lists the names in a folder, sorted; none where there is no such folder."""
    path = os.fspath(folder)
    try:
        if not addresses.is_remote(path):
            return sorted(os.listdir(path))
        return sorted({addresses.name(inner) for inner in system(path).ls(path, detail=False)})
    except (FileNotFoundError, NotADirectoryError):
        return []


def find(root: Address, pattern: str) -> list[str]:
    """Lists the files below `root` that match a pattern of * and ?, sorted; `root` has no wildcards."""
    return [facts.path for facts in match(addresses.join(addresses.escaped(root), pattern))]


def match(pattern: Address) -> list[Facts]:
    """Lists the files that match a pattern of `*`, `?` and `[…]`, sorted by path, with sizes and times."""
    text = os.fspath(pattern)
    if not addresses.is_remote(text):
        return [_local(path) for path in sorted(glob.glob(text, include_hidden=True)) if os.path.isfile(path)]
    found = system(text).glob(text, detail=True)
    return sorted((_remote(text, told) for told in found.values() if told['type'] == 'file'), key=_by_path)


def tree(root: Address) -> list[Facts]:
    """Lists all files below a folder, sorted by path, with sizes and times."""
    text = os.fspath(root)
    if not addresses.is_remote(text):
        paths = sorted(os.path.join(place, name) for place, _, names in os.walk(text) for name in names)
        return [_local(path) for path in paths]
    found = system(text).find(text, detail=True)
    return sorted((_remote(text, told) for told in found.values()), key=_by_path)


def facts(address: Address) -> Facts:
    """Looks up size and time of a file.

    Raises:
      FileNotFoundError: there is none.
    """
    path = os.fspath(address)
    return _remote(path, system(path).info(path)) if addresses.is_remote(path) else _local(path)


def delete(paths: Iterable[Address]) -> None:
    """Deletes those files and folders that there are."""
    for one in paths:
        path = os.fspath(one)
        if addresses.is_remote(path):
            with contextlib.suppress(FileNotFoundError):
                system(path).rm(path, recursive=True)
        elif os.path.isdir(path) and not os.path.islink(path):
            shutil.rmtree(path)
        else:
            with contextlib.suppress(FileNotFoundError):
                os.remove(path)


def move(source: Address, target: Address) -> None:
    """Moves a file within one storage; on an object store that is one copy there, and a deletion."""
    one, other = os.fspath(source), os.fspath(target)
    if addresses.is_remote(one):
        system(one).cp_file(one, other)
        system(one).rm_file(one)
        return
    os.makedirs(os.path.dirname(other) or '.', exist_ok=True)
    os.replace(one, other)


def move_tree(source: Address, target: Address) -> None:
    """Moves a folder within one storage to where there is none, or the files of one to an object store."""
    one, other = os.fspath(source).rstrip('/'), os.fspath(target).rstrip('/')
    if not addresses.is_remote(one) and not addresses.is_remote(other):
        os.makedirs(os.path.dirname(other) or '.', exist_ok=True)
        shutil.move(one, other)
        return
    for told in tree(one):
        place = other + told.path.removeprefix(one)
        move(told.path, place) if addresses.is_remote(one) else upload(told.path, place)
    delete([one])


def download(source: Address, target: str) -> None:
    """Copies a file to a path of this machine, where it appears whole; makes its folder."""
    with opened(source) as file, created(target) as copy:
        shutil.copyfileobj(file, copy, _SPOOLED)


def upload(source: str, target: Address) -> None:
    """Copies a file of this machine to an address, where it appears whole."""
    path = os.fspath(target)
    if addresses.is_remote(path):
        system(path).put_file(source, path)
        return
    with open(source, 'rb') as file, created(path) as copy:
        shutil.copyfileobj(file, copy, _SPOOLED)


def copy_tree(source: Address, target: Address, last: Sequence[str] = ()) -> None:
    """Copies all files below a folder; one of the two is on this machine.

    Args:
      source: folder, or a single file.
      target: what it becomes.
      last: names of files that say that others are whole, and so are copied after them.
    """
    paths = [told.path for told in tree(source)] or [os.fspath(source)]
    root = os.fspath(source).rstrip('/')
    for path in sorted(paths, key=lambda path: addresses.name(path) in last):
        place = os.fspath(target) + path.removeprefix(root)
        upload(path, place) if not addresses.is_remote(path) else download(path, place)


def reason(error: BaseException) -> str:
    """Describes in one short line why storage failed, without the class of the exception."""
    text = ' '.join(str(getattr(error, 'strerror', None) or error).split())
    return text[:160] or type(error).__name__


def _by_path(told: Facts) -> str:
    return told.path


def _local(path: str) -> Facts:
    state = os.stat(path)
    return Facts(path, state.st_size, str(state.st_mtime_ns))


def _remote(address: str, told: dict[str, Any]) -> Facts:
    when = next((told[key] for key in ('generation', 'ETag', 'etag', 'mtime', 'created') if key in told), '')
    return Facts(f'{addresses.scheme(address)}://{told["name"].lstrip("/")}', int(told['size']), str(when))
