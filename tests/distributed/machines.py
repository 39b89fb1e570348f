# SPDX-License-Identifier: Apache-2.0
"""Machines made of namespaces: a network and folders of their own, joined to this one by a cable each."""

import contextlib
import os
import pathlib
import signal
import subprocess
import time
from collections.abc import Callable

HUB = '10.77.1.1'  # what all of them call this machine


class Machine:
    """Holds namespaces in which processes can be started.

    They write into their own `/tmp` and `/dev/shm`, which nobody else sees, and into one shared folder; all
    else is read-only. `localhost` means the hub, too, where runners tell workers to look for them.
    """

    def __init__(self, number: int, scratch: pathlib.Path, shared: str) -> None:
        hub, self.address = f'10.77.{number}.1', f'10.77.{number}.2'
        self._init = subprocess.Popen(['unshare', '--net', '--mount', '--kill-child', 'sleep', 'infinity'])
        self._wait_for_namespaces()
        pid = str(self._init.pid)
        _call('ip', 'link', 'add', f'hub{number}', 'type', 'veth', 'peer', 'name', 'cable', 'netns', pid)
        _call('ip', 'addr', 'add', f'{hub}/24', 'dev', f'hub{number}')
        _call('ip', 'link', 'set', f'hub{number}', 'up')
        hosts = scratch / f'hosts{number}'
        hosts.write_text(f'127.0.0.1 localhost\n{hub} localhost {os.uname().nodename}\n')
        for line in (
            'ip link set lo up',
            f'ip addr add {self.address}/24 dev cable',
            'ip link set cable up',
            f'ip route add default via {hub}',
            f'mount --bind {hosts} /etc/hosts',
            f'mount --bind {shared} {shared}',
            'mount -t tmpfs tmpfs /dev/shm',
            'mount -t tmpfs tmpfs /tmp',
            'mount -o remount,bind,ro /',
        ):
            _call(*self.inside(*line.split()))

    def start(self, command: list[str], environment: dict[str, str], log: pathlib.Path) -> subprocess.Popen:
        """Starts a process there, in its /tmp."""
        with log.open('ab') as file:
            return subprocess.Popen(
                self.inside('env', '--chdir=/tmp', *command),
                env={**os.environ, **environment},
                stdout=file,
                stderr=file,
                start_new_session=True,
            )

    def inside(self, *command: str) -> list[str]:
        """Returns what runs a command there."""
        return ['nsenter', '--target', str(self._init.pid), '--net', '--mount', *command]

    def stop(self) -> None:
        """Ends the machine; processes there must have ended."""
        self._init.kill()
        self._init.wait()

    def _wait_for_namespaces(self) -> None:
        own = os.readlink('/proc/self/ns/mnt')
        deadline = time.monotonic() + 10
        while os.readlink(f'/proc/{self._init.pid}/ns/mnt') == own:
            assert time.monotonic() < deadline, 'unshare made no namespaces'
            time.sleep(0.02)


def kill_group(process: subprocess.Popen) -> None:
    """Kills a process that began a session, with its children, as a machine dies."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def running() -> list[str]:
    """Lists the command lines of all processes in this process's PID namespace, but for dead ones."""
    found = []
    for place in pathlib.Path('/proc').glob('[0-9]*'):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            command = (place / 'cmdline').read_bytes().replace(b'\0', b' ').decode(errors='replace')
            if (place / 'stat').read_text().rpartition(')')[2].split()[0] != 'Z':
                found.append(command)
    return found


def _call(*command: str) -> None:
    subprocess.run(command, check=True)


def wait_until(is_so: Callable[[], bool], seconds: float = 30) -> bool:
    """Returns whether a condition came true in time."""
    deadline = time.monotonic() + seconds
    while not is_so():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True
