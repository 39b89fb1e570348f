# SPDX-License-Identifier: Apache-2.0
"""A hub with driver, runner and storage, and two workers that share no disk with it or with each other."""

import dataclasses
import hashlib
import os
import pathlib
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from typing import NamedTuple

from distributed import faults, machines, pools, way
from panpipe.model.storage import addresses, files, manifest

INPUTS = 'gs://data/here'
BINARIES = 'PANPIPE_BED'  # names the folder of prism and fake-gcs-server
_POOL, _JOBS, _STORAGE, _EMULATOR, _WORKER = 15100, 18073, 4443, 4444, 15000
_BIN = pathlib.Path(sys.executable).parent
ENVIRONMENT = {
    'STORAGE_EMULATOR_HOST': f'http://{machines.HUB}:{_STORAGE}',
    'GRPC_DNS_RESOLVER': 'native',  # which looks into /etc/hosts
    'TF_CPP_MIN_LOG_LEVEL': '2',
    'COLUMNS': '200',
    'PATH': f'{_BIN}:{os.environ["PATH"]}',
}
REMOTE = (
    '--runner=PortableRunner', f'--job_endpoint=localhost:{_JOBS}',
    '--environment_type=EXTERNAL', f'--environment_config=localhost:{_POOL}',
)  # fmt: skip


class Ended(NamedTuple):
    """States how a job ended.

    Attributes:
      status: of the process; negative for a signal.
      told: what it wrote.
      seconds: it took.
    """

    status: int
    told: str
    seconds: float


class Bed:
    """Holds the hub's services and the workers.

    Attributes:
      scratch: folder of logs, which only the hub sees.
      shared: folder that workers see, too, as on a network disk; only where a test says so.
      storage: the proxy before the emulator.
      pools: a process a worker machine, which starts workers.
    """

    def __init__(self, binaries: pathlib.Path, scratch: pathlib.Path, seed: int) -> None:
        subprocess.run(['ip', 'link', 'set', 'lo', 'up'], check=True)
        self.scratch, self._binaries = scratch, binaries
        self.shared = tempfile.mkdtemp(prefix='shared-', dir=binaries)
        self._machines = [machines.Machine(number, scratch, self.shared) for number in (1, 2)]
        host = ENVIRONMENT['STORAGE_EMULATOR_HOST']
        self._emulator = self._serve(
            'fake-gcs-server', '-scheme=http', '-host=127.0.0.1', f'-port={_EMULATOR}', '-backend=memory',
            f'-external-url={host}', f'-public-host={host.partition("//")[2]}',
        )  # fmt: skip
        self.storage = faults.Proxy(_STORAGE, _EMULATOR, seed)
        addresses = [f'{machine.address}:{_WORKER}' for machine in self._machines]
        self._dispatcher = pools.serve(f'0.0.0.0:{_POOL}', addresses)
        self._prism: subprocess.Popen | None = None
        self.pools: list[subprocess.Popen] = []
        self.restart()
        _wait_for('127.0.0.1', _EMULATOR)

    def restart(self) -> None:
        """Starts the runner and the workers' pools anew; what ran there is gone."""
        for process in [*self.pools, *filter(None, [self._prism])]:
            machines.kill_group(process)
        self._prism = self._serve('prism', f'-job_port={_JOBS}', '-web_port=18074', '-log_kind=text')
        worker = [str(_BIN / 'python'), '-m', 'apache_beam.runners.worker.worker_pool_main']
        self.pools = [
            machine.start(
                [*worker, f'--service_port={_WORKER}'], ENVIRONMENT, self.scratch / f'worker{n}.log'
            )
            for n, machine in enumerate(self._machines, 1)
        ]
        _wait_for('localhost', _JOBS)
        for machine in self._machines:
            _wait_for(machine.address, _WORKER)

    def close(self) -> None:
        """Ends everything."""
        self._dispatcher.stop(0)
        for process in [*self.pools, self._emulator, *filter(None, [self._prism])]:
            machines.kill_group(process)
        for machine in self._machines:
            machine.stop()
        shutil.rmtree(self.shared)

    def are_workers_gone(self) -> bool:
        """Returns whether soon no worker machine works any more."""
        return machines.wait_until(lambda: not any('SdkHarness' in one for one in machines.running()))

    def _serve(self, name: str, *arguments: str) -> subprocess.Popen:
        with (self.scratch / f'{name}.log').open('ab') as log:
            return subprocess.Popen(
                [self._binaries / name, *arguments], stdout=log, stderr=log, start_new_session=True
            )


def start(job: str, *arguments: str, environment: dict[str, str] | None = None) -> subprocess.Popen:
    """Starts a job on the hub."""
    return subprocess.Popen(
        [sys.executable, '-m', 'panpipe.components.command', job, *arguments],
        env={**os.environ, **ENVIRONMENT, **(environment or {})},
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
    )  # fmt: skip


def run(job: str, *arguments: str, environment: dict[str, str] | None = None, timeout: float = 300) -> Ended:
    """Runs a job on the hub to its end."""
    started = time.monotonic()
    process = start(job, *arguments, environment=environment)
    try:
        told, _ = process.communicate(timeout=timeout)
    finally:
        machines.kill_group(process)
    return Ended(process.returncode, told, time.monotonic() - started)


def done(job: str, *arguments: str, environment: dict[str, str] | None = None) -> float:
    """Runs a job that must end well; returns the seconds it took."""
    ended = run(job, *arguments, environment=environment)
    assert ended.status == 0, f'{job} {" ".join(arguments)}\n{ended.told[-3000:]}'
    return ended.seconds


def check_same(job: str, there: str, here: str) -> None:
    """Fails unless a job wrote the same into two folders, byte for byte; a manifest names the inputs, too."""
    mine, yours = (_contents(f'{root}/{way.OUTPUTS[job]}') for root in (there, here))
    assert mine
    assert mine == yours
    if job == 'convert':
        told, wanted = (manifest.read(f'{root}/{way.OUTPUTS[job]}') for root in (there, here))
        assert {name: _without_plan(split) for name, split in told.splits.items()} == {
            name: _without_plan(split) for name, split in wanted.splits.items()
        }


def _without_plan(split: manifest.Split) -> manifest.Split:
    return dataclasses.replace(split, plan='')


def _contents(place: str) -> dict[str, str]:
    """Returns digests of all files below an address, by their names below it."""
    return {
        told.path.removeprefix(place): hashlib.sha256(files.read(told.path)).hexdigest()
        for told in files.tree(place)
        if addresses.name(told.path) != manifest.NAME
    }


def _wait_for(host: str, port: int, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while True:
        try:
            socket.create_connection((host, port), timeout=1).close()
            return
        except OSError:
            assert time.monotonic() < deadline, f'{host}:{port} does not answer'
            time.sleep(0.1)
