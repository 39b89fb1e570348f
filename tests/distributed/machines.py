# SPDX-License-Identifier: Apache-2.0
"""Machines made of namespaces: a network and a /tmp of their own, joined to this one by a cable each."""

import os
import pathlib
import signal
import subprocess
import sys
import time

HUB = '10.77.{}.1'
OWN = '10.77.{}.2'


class Machine:
    """Holds a namespace in which processes can be started.

    In it `localhost` means the hub, because prism tells workers that its services are there.
    """

    def __init__(self, number: int, scratch: pathlib.Path) -> None:
        self.address = OWN.format(number)
        self._init = subprocess.Popen(['unshare', '--net', '--mount', '--kill-child', 'sleep', 'infinity'])
        time.sleep(0.3)
        hub = HUB.format(number)
        pid = str(self._init.pid)
        _call('ip', 'link', 'add', f'hub{number}', 'type', 'veth', 'peer', 'name', 'cable', 'netns', pid)
        _call('ip', 'addr', 'add', f'{hub}/24', 'dev', f'hub{number}')
        _call('ip', 'link', 'set', f'hub{number}', 'up')
        hosts = scratch / f'hosts{number}'
        hosts.write_text(f'{hub} localhost\n')
        for line in (
            'ip link set lo up',
            f'ip addr add {self.address}/24 dev cable',
            'ip link set cable up',
            f'ip route add default via {hub}',
            f'mount --bind {hosts} /etc/hosts',
            'mount -t tmpfs tmpfs /tmp',
        ):
            _call(*self._enter(), *line.split())

    def start(self, command: list[str], environment: dict[str, str], log: pathlib.Path) -> subprocess.Popen:
        """Starts a process there, in its /tmp."""
        with log.open('ab') as file:
            return subprocess.Popen(
                [*self._enter(), '--wd=/tmp', *command],
                env={**os.environ, **environment},
                stdout=file,
                stderr=file,
                start_new_session=True,
            )

    def stop(self) -> None:
        """Ends the machine and all its processes."""
        self._init.kill()

    def _enter(self) -> list[str]:
        return ['nsenter', '--target', str(self._init.pid), '--net', '--mount']


def isolated() -> None:
    """Runs this program again in namespaces of its own, once; exits with a line where that cannot be done."""
    if os.environ.get('PANPIPE_ISOLATED'):
        _call('ip', 'link', 'set', 'lo', 'up')
        return
    wrapper = [
        'unshare',
        '--map-root-user',
        '--net',
        '--mount',
        '--pid',
        '--fork',
        '--kill-child',
        '--mount-proc',
    ]
    if subprocess.run([*wrapper, 'ip', 'link', 'set', 'lo', 'up'], capture_output=True).returncode:
        print('SKIPPED: no namespaces here (unshare and ip of iproute2, with the right to use them)')
        sys.exit(0)
    environment = {**os.environ, 'PANPIPE_ISOLATED': '1'}
    sys.exit(subprocess.run([*wrapper, sys.executable, *sys.argv], env=environment).returncode)


def kill_group(process: subprocess.Popen) -> None:
    """Kills a process that `Machine.start` or a new session began, with its children."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _call(*command: str) -> None:
    subprocess.run(command, check=True)
