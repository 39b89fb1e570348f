# SPDX-License-Identifier: Apache-2.0
"""Two jobs never write into one output: the second ends in one line, and the next goes on after a crash."""

import json
import pathlib
import subprocess
import sys
import time

import pytest

import experiments
import judged
import yards
from panpipe.model import train
from panpipe.model.storage import lock
from panpipe.pipelines import convert, evaluate, report, show, toy

# Each job stands still in the middle of its work.
_STANDING = """
import sys, time
{imports}
def stand(*_, **__):
    print('works', flush=True)
    time.sleep(600)
{place} = stand
sys.exit({job}.main(sys.argv[1:]))
"""


def _started(job, imports, place, arguments):
    """Starts a job in a process of its own, and waits until it works."""
    program = _STANDING.format(imports=imports, place=place, job=job)
    process = subprocess.Popen(
        [sys.executable, '-c', program, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    for line in process.stdout:
        if line == 'works\n':
            return process
    raise AssertionError('the job ended before it worked')


def _error(capsys):
    lines = capsys.readouterr().err.splitlines()
    (found,) = (line for line in lines if ': error: ' in line)
    return found


@pytest.fixture
def yard(tmp_path):
    return yards.Yard(tmp_path / 'yard')


def _conversion(yard, output):
    given = ['--dataset', str(yard.dataset), '--input', str(yard.root), '--output', str(output)]
    return [*given, '--splits', 'val', '--num_shards', '2']


@pytest.mark.slow
def test_two_conversions(yard, tmp_path, capsys):
    output = tmp_path / 'records'
    arguments = _conversion(yard, output)
    # The first shard is done when the process dies, and is not written again.
    imports = 'from panpipe.pipelines import convert\nfrom panpipe.pipelines.record_files import publishing'
    process = _started('convert', imports, 'publishing.publish', arguments)
    try:
        assert convert.main(arguments) == 2
        told = _error(capsys)
        assert f'{output} is being written by panpipe convert, process {process.pid} on ' in told
        assert not [*output.glob('*.tfrecord')]
    finally:
        process.kill()  # SIGKILL: nothing is cleaned up
        process.wait()
    assert (output / lock.NAME).exists()
    assert convert.main(arguments) == 0
    told = capsys.readouterr().err
    assert f'took over the lock {output}/.lock of panpipe convert, process {process.pid}' in told
    assert '2 of 2 files are done already' in told
    assert len(judged.parsed(output)) == 2
    assert not [*output.glob('.*')]


@pytest.mark.slow
def test_two_evaluations(yard, tmp_path, capsys):
    folder = judged.predicted(tmp_path, judged.converted(tmp_path, yard.root, yard.dataset), yard.dataset)
    output = tmp_path / 'evaluation.json'
    given = ['--dataset', str(yard.dataset), '--ground_truth', str(yard.root), '--predictions', str(folder)]
    arguments = [*given, '--output', str(output)]
    imports = 'from panpipe.pipelines import evaluate\nfrom panpipe.pipelines.scoring import counting'
    process = _started('evaluate', imports, 'counting.write', arguments)
    try:
        assert evaluate.main(arguments) == 2
        assert f'process {process.pid} on ' in _error(capsys)
    finally:
        process.kill()
        process.wait()
    assert evaluate.main(arguments) == 0
    assert json.loads(output.read_text())['num_images'] == 2
    assert sorted(path.name for path in tmp_path.iterdir() if 'evaluation' in path.name) == [
        'evaluation.images.jsonl',
        'evaluation.json',
    ]


def test_an_output_in_use_is_refused(yard, tmp_path, capsys):
    assert convert.main(_conversion(yard, tmp_path / 'records')) == 0
    given = {
        toy: ['--dataset', 'coco_panoptic', '--images=1', '--height=32', '--width=32', '--output'],
        show: [str(tmp_path / 'records/val*'), '--output'],
        report: ['--dataset', str(yard.dataset), '--ground_truth=x', '--predictions=x', '--output'],
    }
    for job, arguments in given.items():
        output = tmp_path / f'out/{job.__name__}.png'
        with lock.held(lock.beside(output), 'other'):
            assert job.main([*arguments, str(output)]) == 2
            assert f'{output} is being written by panpipe other' in _error(capsys)
        assert not output.exists()


@pytest.mark.slow
def test_two_trainings(tmp_path, capsys):
    pattern = experiments.write_records(tmp_path)
    sets = [f'--set={field}' for field in (*experiments.overrides(pattern, 2), 'experiment_name=first')]
    arguments = [
        '--config',
        str(experiments.CONFIG),
        '--model_dir',
        str(tmp_path / 'runs'),
        '--mode',
        'train',
    ]
    process = _started(
        'train',
        'from panpipe.model import train\nfrom panpipe.model.training import loop',
        'loop.Training.until',
        [*arguments, *sets],
    )
    try:
        assert train.main([*arguments, *sets]) == 2
        assert f'runs/first is being written by panpipe train, process {process.pid} on' in _error(capsys)
    finally:
        process.kill()
        process.wait()
    started = time.monotonic()
    assert train.main([*arguments, *sets]) == 0
    assert time.monotonic() - started < 600
    assert 'took over the lock' in capsys.readouterr().err
    run = pathlib.Path(tmp_path / 'runs/first')
    assert (run / 'checkpoint').exists()
    assert not (run / '.lock').exists()
    assert json.loads((run / 'dataset.json').read_text()) == {'dataset': 'cityscapes_panoptic'}


def test_another_pod_goes_on_with_a_run(tmp_path, monkeypatch, capsys):
    """A retry on a cluster has another host name: it watches for a sign of life, and goes on."""
    monkeypatch.setattr(lock, 'SECONDS_TO_WATCH', 1.0)
    monkeypatch.setattr(lock.socket, 'gethostname', lambda: 'pod-1')
    path = pathlib.Path(lock.within(tmp_path))
    path.write_bytes(lock.Holder.here('train').encoded())
    monkeypatch.setattr(lock.socket, 'gethostname', lambda: 'pod-2')
    with lock.held(str(path), 'train'):
        assert 'pod-2' in path.read_text()
    assert 'on pod-1 since' in capsys.readouterr().err
