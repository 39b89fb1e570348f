# SPDX-License-Identifier: Apache-2.0
"""SIGTERM, which a cluster sends before it takes a machine away: the training is saved in time."""

import contextlib
import os
import signal
import sys
import threading
import time
import types
from collections.abc import Callable

from panpipe.model import errors

# Environment variable: seconds from SIGTERM to the end. Kubernetes kills after 30 by default, of which five
# are left to whatever started this process.
VARIABLE, GRACE = 'PANPIPE_GRACE_SECONDS', 25.0
STATUS = 128 + signal.SIGTERM  # what shells report of a process that SIGTERM ended


class Watch(contextlib.AbstractContextManager['Watch']):
    """Notes SIGTERM instead of dying of it, within a `with` block; outside, the process ends at once.

    A process that has not left when the grace period is over leaves then, with what was saved before.
    """

    def __init__(self) -> None:
        """Reads how long the grace period is."""
        self._received = 0.0
        self._before: signal.Handlers | Callable[[int, types.FrameType | None], object] | int | None = None
        grace = _grace()
        self._timer = threading.Timer(grace, _give_up, [grace])
        self._timer.daemon = True

    def __enter__(self) -> 'Watch':
        """Starts to watch, in the main thread; other threads get no signals, so there it does nothing."""
        if threading.current_thread() is threading.main_thread():
            self._before = signal.signal(signal.SIGTERM, self._receive)
        return self

    def __exit__(self, *_: object) -> None:
        """Puts back what watched before."""
        self._timer.cancel()
        if self._before is not None:
            signal.signal(signal.SIGTERM, self._before)

    @property
    def is_over(self) -> bool:
        """True from the signal on."""
        return self._received > 0

    def leave(self, save: Callable[[], None], step: int) -> None:
        """Saves, tells how long that took, and ends the process with status 143."""
        begin = time.monotonic()
        save()
        seconds, since = time.monotonic() - begin, time.monotonic() - self._received
        when = f'{since:.1f} s after the signal' if self.is_over else 'since another worker was to end'
        print(
            f'panpipe train: SIGTERM: saved step {step} in {seconds:.1f} s, {when}; the next start goes on '
            'from there',
            file=sys.stderr,
            flush=True,
        )
        raise SystemExit(STATUS)

    def _receive(self, number: int, frame: types.FrameType | None) -> None:
        if not self.is_over:
            self._received = time.monotonic()
            self._timer.start()


def _grace() -> float:
    text = os.environ.get(VARIABLE, str(GRACE))
    try:
        return float(text)
    except ValueError as error:
        raise errors.InputError(f'${VARIABLE} is {text!r}; give a number of seconds') from error


def _give_up(grace: float) -> None:
    print(
        f'panpipe train: SIGTERM: nothing could be saved within {grace:g} s; the next start goes on from the '
        'newest checkpoint',
        file=sys.stderr,
        flush=True,
    )
    os._exit(STATUS)
