# SPDX-License-Identifier: Apache-2.0
"""A lock on an output, so that two jobs do not write there at once.

A lock is a small file that only one process can create: by O_EXCL on this machine, by a conditional put on
`gs://` and `s3://`. It names host, process and start, and its holder writes it anew every few seconds. So
whoever finds it can tell whether the holder is gone, and then takes it over: a process of this machine by its
number and start, one of another machine by watching whether the file still changes. Clocks are not compared.

Taking over a dead holder's lock is exclusive on this machine. On an object store two that do it within the
same second find out by reading the lock again, which nothing guarantees.
"""

import contextlib
import dataclasses
import datetime
import fcntl
import json
import os
import signal
import socket
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from typing import Self

from panpipe.model import errors
from panpipe.model.storage import addresses, files, typed_json

NAME = '.lock'
SECONDS_A_BEAT = 10.0
SECONDS_TO_WATCH = 60.0  # a holder elsewhere that does not beat meanwhile is gone
_PAUSE = 0.5
_ZOMBIES = ('Z', 'X')  # states of processes that ended and are still listed


@dataclasses.dataclass(frozen=True)
class Holder:
    """States who holds a lock.

    Attributes:
      job: name of the job.
      host: name of the machine.
      namespace: of the machine's processes: its start, and which container.
      process: its number there.
      began: when the process started, in ticks of the machine.
      since: when the lock was taken, UTC.
      token: of this holder alone.
      beats: how often it was written anew.
    """

    job: str
    host: str
    namespace: str
    process: int
    began: str
    since: str
    token: str
    beats: int = 0

    @classmethod
    def here(cls, job: str) -> Self:
        """Describes this process."""
        now = datetime.datetime.now(datetime.UTC).strftime('%Y-%m-%d %H:%M:%S')
        process = os.getpid()
        began = _state(process)[1]
        return cls(job, socket.gethostname(), _namespace(), process, began, now, uuid.uuid4().hex)

    def __str__(self) -> str:
        """Names job, process, host and start."""
        return f'panpipe {self.job}, process {self.process} on {self.host} since {self.since} UTC'

    def is_near(self) -> bool:
        """Returns whether its process number means something here."""
        return (self.host, self.namespace) == (socket.gethostname(), _namespace())

    def is_running(self) -> bool:
        """Returns whether that process of this machine is there, and not another one of its number."""
        try:
            os.kill(self.process, 0)
        except ProcessLookupError:
            return False
        except PermissionError:  # another user's; it may be hidden from /proc
            return True
        state, began = _state(self.process)
        return state not in _ZOMBIES and began == self.began

    def encoded(self) -> bytes:
        """Writes it as the content of the file."""
        return json.dumps(typed_json.encode(self)).encode()


def beside(output: addresses.Address) -> str:
    """Names the lock of a file or folder that appears whole."""
    text = os.fspath(output).rstrip('/')
    is_bucket = addresses.is_remote(text) and not addresses.parts(text)[2]
    return within(text) if is_bucket else f'{text}{NAME}'


def within(folder: addresses.Address) -> str:
    """Names the lock of a folder that is changed in its place, whose parent may be closed."""
    return addresses.join(folder, NAME)


@contextlib.contextmanager
def held(path: str, job: str, patience: float = 0.0) -> Iterator[None]:
    """Holds a lock; folders that it needs are made, and removed at the end where they stayed empty.

    Args:
      path: of the lock, from `beside` or `within`.
      job: who takes it, for others to read.
      patience: seconds to wait for another holder's end.

    Raises:
      errors.InputError: another process holds it.
    """
    own, made = Holder.here(job), _make_folders(path)
    try:
        _take(path, own, patience)
        with _beating(path, own):
            yield
    finally:
        for folder in made:
            with contextlib.suppress(OSError):
                os.rmdir(folder)


def _take(path: str, own: Holder, patience: float) -> None:
    deadline = time.monotonic() + patience
    while not _create(path, own):
        other = _read(path)
        if _is_free(path, other):
            if _replace(path, other, own):
                told = f' of {other}, which is gone' if other else ', which is damaged'
                print(f'panpipe {own.job}: note: took over the lock {path}{told}', file=sys.stderr)
                return
        elif time.monotonic() > deadline:
            raise errors.InputError(
                f'{_output(path)} is being written by {other or "another job"}, which holds {path}; wait for '
                'its end, or choose another output'
            )
        else:
            time.sleep(_PAUSE)


def _is_free(path: str, other: Holder | None) -> bool:
    """Returns whether the holder that a lock names is gone."""
    if other is not None and other.is_near():
        return not other.is_running()
    deadline = time.monotonic() + SECONDS_TO_WATCH
    while time.monotonic() < deadline:
        time.sleep(_PAUSE)
        if not files.exists(path):
            return False  # it let go: the lock can be created
        if _read(path) != other:
            return False
    return True


def _create(path: str, own: Holder) -> bool:
    if not addresses.is_remote(path):
        try:
            with files.naming(path), open(path, 'xb') as file:
                file.write(own.encoded())
        except FileExistsError:
            return False
        except OSError:  # the disk is full, say
            files.delete([path])
            raise
        return True
    try:
        files.system(path).pipe_file(path, own.encoded(), mode='create')
    except FileExistsError:
        return False
    except OSError as error:
        if 'conditionNotMet' in str(error) or 'PreconditionFailed' in str(error):
            return False
        raise
    return True


def _replace(path: str, other: Holder | None, own: Holder) -> bool:
    """Puts this holder in the place of one that is gone; returns whether nobody else did."""
    if addresses.is_remote(path):
        if _read(path) == other:
            files.delete([path])
        if not _create(path, own):
            return False
        time.sleep(2 * _PAUSE)
        return _is_own(path, own)
    handle = os.open(addresses.parent(path), os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        if _read(path) != other:
            return False
        files.write_whole(path, own.encoded())
        return True
    finally:
        os.close(handle)


@contextlib.contextmanager
def _beating(path: str, own: Holder) -> Iterator[None]:
    """Writes the lock anew while the block runs, then removes it."""
    is_over = threading.Event()

    def beat() -> None:
        now = own
        while not is_over.wait(SECONDS_A_BEAT):
            with contextlib.suppress(OSError, errors.InputError):  # storage may answer the next time
                if not _is_own(path, own):
                    print(f'panpipe {own.job}: {path} was removed or taken over', file=sys.stderr)
                    os.kill(own.process, signal.SIGTERM)
                    return
                now = dataclasses.replace(now, beats=now.beats + 1)
                files.write_whole(path, now.encoded())

    thread = threading.Thread(target=beat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join()
        if _is_own(path, own):
            files.delete([path])


def _is_own(path: str, own: Holder) -> bool:
    if not files.exists(path):
        return False
    there = _read(path)
    return there is not None and there.token == own.token


def _read(path: str) -> Holder | None:
    """Reads who holds a lock; None where that cannot be read, as when it is just being written or removed."""
    try:
        return typed_json.decode(Holder, json.loads(files.read(path)))
    except (errors.InputError, ValueError, RecursionError):
        return None


def _make_folders(path: str) -> list[str]:
    """Makes the folders above a local path; returns those that were not there, the innermost first."""
    if addresses.is_remote(path):
        return []
    made = []
    folder = addresses.parent(path)
    while not os.path.isdir(folder):
        made.append(folder)
        folder = addresses.parent(folder)
    os.makedirs(addresses.parent(path), exist_ok=True)
    return made


def _output(path: str) -> str:
    """Returns what a lock is of."""
    return addresses.parent(path) if addresses.name(path) == NAME else path.removesuffix(NAME)


def _namespace() -> str:
    try:
        with open('/proc/sys/kernel/random/boot_id') as file:
            boot = file.read().strip()
        return f'{boot} {os.readlink("/proc/self/ns/pid")}'
    except OSError:
        return ''


def _state(process: int) -> tuple[str, str]:
    """Returns state and start of a process, in ticks since the machine's; empty where that is not told.

    Source: proc(5), /proc/pid/stat, fields 3 and 22.
    """
    try:
        with open(f'/proc/{process}/stat') as file:
            told = file.read().rpartition(')')[2].split()
        return told[0], told[19]
    except (OSError, IndexError):
        return '', ''
