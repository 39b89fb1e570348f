# SPDX-License-Identifier: Apache-2.0
"""Runs the Beam jobs on two workers that share no disk with anybody, on storage of an emulator, under kills.

`make test-distributed` builds prism and fake-gcs-server, and calls `bed.py --bin FOLDER --kills N`. The hub
has the driver, prism and the storage; each worker is a machine of its own (machines.py). What the jobs write
must equal, byte for byte, what one process writes on this machine.
"""

import argparse
import hashlib
import os
import pathlib
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import dispatcher
import machines

HUB = machines.HUB.format(1)
STORAGE = f'http://{HUB}:4443'
POOL, JOBS = 15100, 18073
BIN = pathlib.Path(sys.executable).parent
DATASET = ('--dataset', 'cityscapes_panoptic')
SIZE = ('--images=24', '--height=128', '--width=256')
ENVIRONMENT = {
    'STORAGE_EMULATOR_HOST': STORAGE,
    'GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT': 'false',
    'GRPC_DNS_RESOLVER': 'native',
    'TF_CPP_MIN_LOG_LEVEL': '2',
    'PATH': f'{BIN}:{os.environ["PATH"]}',
}
REMOTE = (
    '--runner=PortableRunner', f'--job_endpoint=localhost:{JOBS}',
    '--environment_type=EXTERNAL', f'--environment_config=localhost:{POOL}',
)  # fmt: skip
LOOPBACK = ('--runner=PortableRunner', f'--job_endpoint=localhost:{JOBS}', '--environment_type=LOOPBACK')


class Bed:
    """Holds the hub's services and the workers."""

    def __init__(self, binaries: pathlib.Path, scratch: pathlib.Path) -> None:
        self._binaries, self.scratch = binaries, scratch
        self.machines = [machines.Machine(number, scratch) for number in (1, 2)]
        self.pools: list[subprocess.Popen] = []
        self._hub = [
            self._start('fake-gcs-server', '-scheme=http', '-host=0.0.0.0', '-port=4443', '-backend=memory',
                        f'-external-url={STORAGE}', f'-public-host={HUB}:4443'),
        ]  # fmt: skip
        self.prism: subprocess.Popen | None = None
        self.restart()
        self._dispatcher = dispatcher.serve(f'0.0.0.0:{POOL}', [f'{m.address}:15000' for m in self.machines])
        time.sleep(3)

    def restart(self) -> None:
        """Starts prism and the worker pools, anew where they run: what a killed job left must not go on."""
        for process in [*self.pools, *filter(None, [self.prism])]:
            machines.kill_group(process)
        self.prism = self._start('prism', f'-job_port={JOBS}', '-web_port=18074', '-log_kind=text')
        command = [
            sys.executable,
            '-m',
            'apache_beam.runners.worker.worker_pool_main',
            '--service_port=15000',
        ]
        self.pools = [
            machine.start(command, ENVIRONMENT, self.scratch / f'worker{number}.log')
            for number, machine in enumerate(self.machines)
        ]
        time.sleep(5)

    def close(self) -> None:
        """Ends everything."""
        for process in [*self.pools, *self._hub, *filter(None, [self.prism])]:
            machines.kill_group(process)
        for machine in self.machines:
            machine.stop()

    def _start(self, name: str, *arguments: str) -> subprocess.Popen:
        with (self.scratch / f'{name}.log').open('ab') as log:
            return subprocess.Popen(
                [self._binaries / name, *arguments], stdout=log, stderr=log, start_new_session=True
            )


def job(name: str, *arguments: str) -> subprocess.Popen:
    """Starts a job on the hub."""
    command = [sys.executable, '-m', 'panpipe.components.command', name, *arguments]
    return subprocess.Popen(
        command, env={**os.environ, **ENVIRONMENT}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True, start_new_session=True,
    )  # fmt: skip


def run(name: str, *arguments: str) -> float:
    """Runs a job to its end, which must be good; returns the seconds it took."""
    started = time.monotonic()
    process = job(name, *arguments)
    told, _ = process.communicate(timeout=600)
    if process.returncode:
        raise SystemExit(f'{name} {" ".join(arguments)}: status {process.returncode}\n{told[-3000:]}')
    return time.monotonic() - started


def content(address: str) -> dict[str, str]:
    """Returns digests of all files below an address, by their names below it."""
    from panpipe.model.storage import files

    return {
        told.path.removeprefix(address): hashlib.sha256(files.read(told.path)).hexdigest()
        for told in files.tree(address)
    }


def same(one: str, other: str) -> None:
    """Fails unless two trees are the same, byte for byte."""
    mine, yours = content(one), content(other)
    if mine != yours or not mine:
        differing = sorted(name for name in mine.keys() | yours.keys() if mine.get(name) != yours.get(name))
        raise SystemExit(f'{one} and {other} differ: {differing[:5]}, {len(mine)} and {len(yours)} files')
    print(f'  {len(mine)} files of {one} equal those of {other}', flush=True)


def whole_way(scratch: pathlib.Path) -> None:
    """Runs convert, statistics, predict and evaluate on the workers, and beside them in one process here."""
    from panpipe.model.storage import files

    here = str(scratch / 'here')
    for root, more in ((here, ()), ('gs://data', REMOTE)):
        raw, records, predictions = f'{root}/raw', f'{root}/records', f'{root}/predictions'
        seconds = {'toy': run('toy', *DATASET, '--output', raw, *SIZE)}
        if root == here:
            subprocess.run(
                [sys.executable, pathlib.Path(__file__).with_name('model.py'), f'{root}/model'], check=True
            )
        else:
            files.copy_tree(f'{here}/model', f'{root}/model')
        convert = [*DATASET, '--input', raw, '--output', records]
        seconds['convert'] = run('convert', *convert, *more)
        statistics = [*DATASET, '--input', f'{records}/train*', '--output', f'{root}/statistics']
        # TensorFlow Transform needs a folder that TensorFlow writes, which this storage is not.
        seconds['statistics'] = run('statistics', *statistics, *(LOOPBACK if more else ()))
        predict = ['--saved_model', f'{root}/model', '--input', f'{records}/val*', '--output', predictions]
        seconds['predict'] = run('predict', *predict, *more)
        evaluate = ['--ground_truth', f'{records}/val*', '--predictions', predictions]
        seconds['evaluate'] = run(
            'evaluate', *DATASET, *evaluate, '--output', f'{root}/evaluation.json', *more
        )
        print(root, {name: round(value, 1) for name, value in seconds.items()}, flush=True)
    for name in ('records', 'predictions'):
        same(f'{here}/{name}', f'gs://data/{name}')
    for name in ('statistics/statistics.json', 'evaluation.json'):
        assert files.read(f'{here}/{name}') == files.read(f'gs://data/{name}'), name
        print(f'  {name} is the same', flush=True)


def kills(bed: Bed, number: int, seed: int) -> None:
    """Kills the driver or a worker at a random moment of conversions, repeats the command, compares."""
    chance = random.Random(seed)
    for turn in range(number):
        output = f'gs://data/killed{turn}'
        arguments = [*DATASET, '--input', 'gs://data/raw', '--output', output, *REMOTE]
        victim, moment = chance.choice(('driver', 'worker')), chance.uniform(2, 16)
        process = job('convert', *arguments)
        time.sleep(moment)
        if victim == 'driver':
            os.killpg(process.pid, signal.SIGKILL)
        else:
            machines.kill_group(chance.choice(bed.pools))
        try:
            process.communicate(timeout=30 if victim == 'worker' else 5)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)  # prism waits for a dead worker
            process.communicate()
        print(f'kill {turn}: {victim} after {moment:.1f} s, status {process.returncode}', flush=True)
        bed.restart()
        run('convert', *arguments)
        same('gs://data/records', output)


def main() -> None:
    """Sets the bed up, runs what is asked for, and takes it down."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--bin', type=pathlib.Path, required=True, help='folder of prism and fake-gcs-server')
    parser.add_argument('--kills', type=int, default=20)
    parser.add_argument('--seed', type=int, default=0, help='of the kills')
    arguments = parser.parse_args()
    machines.isolated()
    os.environ.update(ENVIRONMENT)
    scratch = pathlib.Path(tempfile.mkdtemp(prefix='panpipe-bed-'))
    bed = Bed(arguments.bin.absolute(), scratch)
    try:
        import gcsfs

        gcsfs.GCSFileSystem(token='anon').mkdir('data')
        whole_way(scratch)
        kills(bed, arguments.kills, arguments.seed)
        print('test-distributed: all the same')
    except BaseException:
        print(f'logs are in {scratch}')
        raise
    else:
        shutil.rmtree(scratch)
    finally:
        bed.close()


if __name__ == '__main__':
    main()
