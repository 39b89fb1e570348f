# SPDX-License-Identifier: Apache-2.0
"""Looks whether storage answers before any work: one line in seconds, not a traceback after minutes."""

import threading
from collections.abc import Callable

from panpipe.model import errors
from panpipe.model.storage import addresses, files

SECONDS = 10.0


def check(option: str, address: addresses.Address) -> None:
    """Refuses an address whose bucket cannot be reached, is missing, or is closed to us.

    Args:
      option: the user gave it with, for example '--output'.
      address: a path passes; of an address, its bucket is looked at.

    Raises:
      errors.InputError: it is; or no answer came within `SECONDS`.
    """
    addresses.check(option, address)
    if not addresses.is_remote(address) or addresses.scheme(address) == 'memory':
        return
    text = str(address)
    scheme, bucket, _ = addresses.parts(text)
    root = f'{scheme}://{bucket}'
    failure = _within(lambda: _look(root))
    if isinstance(failure, errors.InputError):
        raise failure
    if failure is not None:
        raise errors.InputError(f'{option} {text}: {_told(failure, scheme, bucket)}') from failure


def _told(failure: BaseException, scheme: str, bucket: str) -> str:
    if isinstance(failure, FileNotFoundError):
        return f'there is no bucket {bucket}; create it, or correct the address'
    if isinstance(failure, TimeoutError):
        return f'{scheme}:// gave no answer within {SECONDS:.0f} seconds; check the network and credentials'
    return (
        f'{files.reason(failure)}; check your credentials (of gs://: gcloud auth application-default login) '
        'and your rights on the bucket'
    )


def _look(root: str) -> None:
    """Asks for at most a page of names; an empty bucket has none."""
    system = files.system(root)
    if not system.exists(root):
        raise FileNotFoundError(root)


def _within(look: Callable[[], None]) -> BaseException | None:
    """Calls in a thread, which is left alone when it takes too long; returns what it raised."""
    raised: list[BaseException] = []

    def call() -> None:
        try:
            look()
        except BaseException as error:
            raised.append(error)

    thread = threading.Thread(target=call, daemon=True)
    thread.start()
    thread.join(SECONDS)
    if thread.is_alive():
        return TimeoutError()
    return raised[0] if raised else None
