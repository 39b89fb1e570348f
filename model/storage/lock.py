# SPDX-License-Identifier: Apache-2.0
"""A lock on a folder, so that two programs do not change its manifest at once.

On this machine the operating system holds it, and lets go of it when its holder dies. On an object store it
is an object that only one can create; a holder that died is found out by the time it wrote down.
"""

import contextlib
import fcntl
import json
import os
import time
from collections.abc import Iterator

from panpipe.model import errors
from panpipe.model.storage import addresses, files

NAME = '.publishing'
_PATIENCE = 300.0  # seconds to wait for another holder
_LIFETIME = 900.0  # seconds after which a holder counts as dead
_PAUSE = 0.5


@contextlib.contextmanager
def held(folder: addresses.Address, holder: str) -> Iterator[None]:
    """Holds the lock of a folder, once its present holder lets go.

    Args:
      folder: is made where it is missing.
      holder: says who holds it; one that died may be succeeded by one of the same name at once.

    Raises:
      errors.InputError: another holder does not let go.
    """
    text = os.fspath(folder)
    if not addresses.is_remote(text):
        os.makedirs(text, exist_ok=True)
        handle = os.open(text, os.O_RDONLY)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)
        return
    path = addresses.join(text, NAME)
    _take(path, holder)
    try:
        yield
    finally:
        files.delete([path])


def _take(path: str, holder: str) -> None:
    deadline = time.monotonic() + _PATIENCE
    while not _create(path, holder):
        other, since = _holder(path)
        if other == holder or time.time() - since > _LIFETIME:
            files.delete([path])
        elif time.monotonic() > deadline:
            raise errors.InputError(
                f'{path} is held by another run ({other}); wait for its end, or delete it if that run is dead'
            )
        else:
            time.sleep(_PAUSE)


def _create(path: str, holder: str) -> bool:
    content = json.dumps({'holder': holder, 'since': time.time()}).encode()
    try:
        files.system(path).pipe_file(path, content, mode='create')
    except FileExistsError:
        return False
    except OSError as error:
        if 'conditionNotMet' in str(error) or 'PreconditionFailed' in str(error):
            return False
        raise
    return True


def _holder(path: str) -> tuple[str, float]:
    """Reads who holds the lock, and since when; of one that just let go, that it is long ago."""
    try:
        told = json.loads(files.read(path))
        return str(told['holder']), float(told['since'])
    except (errors.InputError, ValueError, KeyError, TypeError):
        return '', time.time() - _PAUSE
