# SPDX-License-Identifier: Apache-2.0
"""A conversion that was killed or stopped anywhere is completed by the same command, byte for byte."""

import os
import pathlib
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

import synthetic
from panpipe.model import errors
from panpipe.model.storage import files, manifest, record_sets
from panpipe.pipelines import convert
from panpipe.pipelines.record_files import plans, publishing, shards

STARTED: list[subprocess.Popen] = []
PARALLEL = ('--direct_running_mode=multi_processing', '--direct_num_workers=2')


def _arguments(root, output, *options):
    data = ['--dataset', 'cityscapes_panoptic', '--input', str(root), '--output', str(output)]
    return [*data, '--num_shards=6', *options]


def _start(root, output, *options, before=''):
    program = (
        f'{before}\nimport sys\nfrom panpipe.pipelines import convert\nsys.exit(convert.main(sys.argv[1:]))'
    )
    command = [sys.executable, '-c', program, *_arguments(root, output, *options)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    STARTED.append(process)
    return process


@pytest.fixture(autouse=True)
def _nothing_goes_on():
    yield
    while STARTED:
        STARTED.pop().kill()


def _content(folder):
    return {path.name: path.read_bytes() for path in pathlib.Path(folder).iterdir() if path.is_file()}


def _wait_for(condition, seconds=300):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.fixture(name='raw', scope='module')
def fixture_raw(tmp_path_factory):
    return synthetic.toy(tmp_path_factory.mktemp('raw'), images=12)


@pytest.fixture(name='expected', scope='module')
def fixture_expected(raw, tmp_path_factory):
    output = tmp_path_factory.mktemp('expected') / 'records'
    assert convert.main(_arguments(raw, output)) == 0
    return _content(output)


def _staged(output):
    return list(pathlib.Path(output).glob(f'{plans.STAGING}*/*{shards.DONE}'))


# When it dies: after a shard, between moves, before the manifest, before old files go.
DEATHS = {
    'writing': 'files.write_whole = dying(files.write_whole, third)',
    'moving': 'files.move = dying(files.move, lambda path, *_: "00002-of" in path)',
    'naming': 'manifest.write = dying(manifest.write, lambda *_: True)',
    'clearing': 'files.delete = dying(files.delete, lambda paths: True)',
}
PRELUDE = """
import os
from panpipe.model.storage import files, manifest

seen = []

def third(at, *_):
    seen.extend([at] if at.endswith('.done') else [])
    return len(seen) == 3

def dying(call, is_time):
    def replaced(*arguments):
        if is_time(*arguments):
            os.kill(os.getpid(), 9)
        return call(*arguments)
    return replaced

"""


@pytest.mark.parametrize(
    'death',
    ['moving', *(pytest.param(death, marks=pytest.mark.slow) for death in DEATHS if death != 'moving')],
)
def test_a_killed_conversion_is_completed_byte_for_byte(raw, expected, death, tmp_path, capsys):
    process = _start(raw, tmp_path / 'records', before=PRELUDE + DEATHS[death])
    process.communicate(timeout=120)
    assert process.returncode == -signal.SIGKILL
    before = {path: path.stat().st_mtime_ns for path in _staged(tmp_path / 'records')}
    assert before
    assert convert.main(_arguments(raw, tmp_path / 'records')) == 0
    assert 'files are done already' in capsys.readouterr().err
    assert _content(tmp_path / 'records') == expected
    assert not publishing.left_behind(tmp_path / 'records')


@pytest.mark.slow
def test_sigterm_ends_with_143_and_what_is_finished_is_kept(raw, expected, tmp_path, capsys):
    output = tmp_path / 'records'
    slow = PRELUDE + 'import time\nfrom panpipe.pipelines.record_files import shards\n'
    slow += 'write = shards.write\nshards.write = lambda *a: (time.sleep(0.5), write(*a))[1]\n'
    process = _start(raw, output, before=slow)
    _wait_for(lambda: len(_staged(output)) >= 2)
    process.terminate()
    _, error = process.communicate(timeout=30)
    assert process.returncode == 143
    assert 'Traceback' not in error
    assert not list(pathlib.Path(output).rglob(f'*{files.PARTIAL}'))
    assert convert.main(_arguments(raw, output)) == 0
    assert 'files are done already' in capsys.readouterr().err
    assert _content(output) == expected


@pytest.mark.slow
def test_readers_see_the_earlier_set_until_the_manifest_is_there(raw, tmp_path):
    output = tmp_path / 'records'
    assert convert.main([*_arguments(raw, output)[:-1], '--num_shards=4']) == 0
    process = _start(raw, output, before=PRELUDE + DEATHS['naming'])
    process.communicate(timeout=120)
    assert len(list(output.glob('train-*'))) == 4 + 6
    found = record_sets.find('--input', f'{output}/train*')
    assert [told.path[-18:] for told in found] == [f'{i:05d}-of-00004.tfrecord'[-18:] for i in range(4)]
    assert record_sets.count(found) == 12
    files.delete([output / manifest.NAME])
    with pytest.raises(errors.InputError, match='holds two sets'):
        record_sets.find('--input', f'{output}/train*')


def test_damaged_images_can_be_left_out_and_are_named(raw, tmp_path, capsys):
    root = tmp_path / 'raw'
    files.copy_tree(raw, root)
    damaged = sorted((root / 'leftImg8bit/train').rglob('*.png'))[5:7]
    for path in damaged:
        path.write_bytes(path.read_bytes()[:500])
    output = tmp_path / 'records'
    assert convert.main(_arguments(root, output, '--on_error=skip', '--max_errors=1')) == 2
    assert '2 images cannot be read, more than --max_errors 1' in capsys.readouterr().err
    assert not (output / manifest.NAME).exists()
    assert convert.main(_arguments(root, output, '--on_error=skip')) == 0
    letters = (tmp_path / 'records.dead_letters.jsonl').read_text().splitlines()
    assert len(letters) == 2
    assert all(str(path) in line for path, line in zip(damaged, letters, strict=True))
    assert manifest.read(output).splits['train'].images == 10
    assert record_sets.count(record_sets.find('--input', f'{output}/train*')) == 10


@pytest.mark.slow
def test_a_killed_worker_process_ends_the_job_within_30_seconds(raw, expected, tmp_path):
    output = tmp_path / 'records'
    process = _start(raw, output, *PARALLEL)
    _wait_for(lambda: len(_children(process.pid)) == 2)
    time.sleep(np.random.default_rng().uniform(0, 3))
    killed = time.monotonic()
    os.kill(_children(process.pid)[0], signal.SIGKILL)
    _, error = process.communicate(timeout=60)
    assert time.monotonic() - killed < 30
    assert process.returncode == 1
    assert 'a worker process was killed' in error
    assert 'Traceback' not in error
    assert convert.main(_arguments(raw, output)) == 0
    assert _content(output) == expected


@pytest.mark.slow
def test_worker_processes_end_with_their_driver(raw, tmp_path):
    process = _start(raw, tmp_path / 'records', *PARALLEL)
    _wait_for(lambda: len(_children(process.pid)) == 2)
    workers = _children(process.pid)
    process.kill()
    process.communicate()
    _wait_for(lambda: not any(_is_alive(pid) for pid in workers), 15)


def _children(pid):
    found = []
    for path in pathlib.Path(f'/proc/{pid}/task').glob('*/children'):
        found += [int(child) for child in path.read_text().split()]
    return [
        child for child in found if b'worker_process' in pathlib.Path(f'/proc/{child}/cmdline').read_bytes()
    ]


def _is_alive(pid):
    try:
        return pathlib.Path(f'/proc/{pid}/stat').read_text().rpartition(')')[2].split()[0] != 'Z'
    except FileNotFoundError:
        return False
