# SPDX-License-Identifier: Apache-2.0
"""Disks that are full or damaged, limits of file sizes, impossible names: one line, and nothing half-written.

The failures are real: a small file system in memory, a limit of the process, a file that Linux cannot read.
"""

import contextlib
import os
import pathlib
import resource
import shutil
import subprocess

import numpy as np
import pytest

import experiments
import judged
import stripes
import yards
from panpipe.model import train
from panpipe.pipelines import convert, evaluate, predict, report, score, show, statistics, toy

_KILOBYTE = 2**10
_UNREADABLE = '/proc/self/mem'  # a regular file, of which the first byte is an input/output error


@pytest.fixture(scope='module')
def made(tmp_path_factory):
    """Makes a yard of images that do not compress, its records, predictions, and a model."""
    folder = tmp_path_factory.mktemp('made')
    yard = yards.Yard(folder / 'yard').add_instances()
    noise = np.random.default_rng(0).integers(0, 256, (yards.HEIGHT, yards.WIDTH, 3), np.uint8)
    for number in range(2):
        yards.save(yard.image(number), noise)
    judged.predicted(folder, judged.converted(folder, yard.root, yard.dataset), yard.dataset)
    stripes.save(folder / 'model', yard.dataset)
    return folder


@pytest.fixture
def small_disk(tmp_path):
    """Mounts a file system of 16 kB, which root may do."""
    place = tmp_path / 'disk'
    place.mkdir()
    mounted = subprocess.run(
        ['mount', '-t', 'tmpfs', '-o', 'size=16k', 'panpipe', place], capture_output=True
    )
    if mounted.returncode:
        pytest.skip('no right to mount a file system here')
    yield place
    subprocess.run(['umount', '--lazy', place], check=True)


@contextlib.contextmanager
def _small_files(size):
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def _truth(folder):
    return ['--ground_truth', folder / 'yard', '--predictions', folder / 'predictions']


def _named(folder):
    return ['--dataset', folder / 'yard/yard.json']


# Jobs by name, and the arguments that stand before --output.
JOBS = {
    'toy': (toy, lambda _: ['--dataset', 'coco_panoptic', '--images=2', '--height=64', '--width=64']),
    'convert': (convert, lambda at: [*_named(at), '--input', at / 'yard', '--splits=val', '--num_shards=1']),
    'statistics': (statistics, lambda at: [*_named(at), '--input', at / 'records/val*']),
    'predict': (predict, lambda at: ['--saved_model', at / 'model', '--input', at / 'yard', '--split=val']),
    'score': (score, lambda at: ['--format=coco', *_named(at), *_truth(at)]),
    'evaluate': (evaluate, lambda at: [*_named(at), *_truth(at)]),
    'report': (report, lambda at: [*_named(at), *_truth(at)]),
    'show': (show, lambda at: [at / 'records/val*']),
}  # fmt: skip
_ENDINGS = {'show': '.png'}


def _chosen(cases, *quick):
    """Marks cases as slow, but for those of some jobs."""
    return [
        case if (case if isinstance(case, str) else case[0]) in quick
        else pytest.param(*([case] if isinstance(case, str) else case), marks=pytest.mark.slow)
        for case in cases
    ]  # fmt: skip


def _run(name, made, output):
    job, arguments = JOBS[name]
    return job.main([*map(str, arguments(made)), '--output', str(output)])


def _line(capsys):
    told = capsys.readouterr().err
    assert 'Traceback' not in told
    (line,) = (line for line in told.splitlines() if ': error: ' in line)
    return line


def _is_clean(folder):
    """Tells whether a folder holds nothing but work that the next run goes on with."""
    names = [path.name for path in folder.iterdir()]
    return not any(path.suffix == '.partial' and path.is_file() for path in folder.rglob('*')) and not [
        name for name in names if not name.startswith('.') and not name.endswith('.partial')
    ]


@pytest.mark.parametrize('name', _chosen(JOBS, 'convert', 'show'))
def test_a_full_disk(made, small_disk, capsys, name):
    filling = small_disk / '.filling'
    filling.write_bytes(b'x' * 12 * _KILOBYTE)
    output = small_disk / f'out{_ENDINGS.get(name, "")}'
    assert _run(name, made, output) == 2
    line = _line(capsys)
    assert 'No space left on device; free some space, or choose another place' in line
    assert str(small_disk) in line
    assert not output.exists() or _is_clean(output)
    subprocess.run(['mount', '-o', 'remount,size=64m', small_disk], check=True)
    assert _run(name, made, output) == 0
    assert output.exists()


@pytest.mark.parametrize('name', _chosen(sorted(JOBS.keys() - {'statistics', 'toy'}), 'evaluate'))
def test_a_limit_of_file_sizes(made, tmp_path, capsys, name):
    output = tmp_path / f'out{_ENDINGS.get(name, "")}'
    with _small_files(100):
        assert _run(name, made, output) == 2
    line = _line(capsys)
    assert 'File too large; allow larger files (ulimit -f), or choose another place' in line
    assert not output.exists() or _is_clean(output)


@pytest.mark.slow
def test_a_full_scratch_disk(made, small_disk, tmp_path, capsys, monkeypatch):
    (small_disk / '.filling').write_bytes(b'x' * 12 * _KILOBYTE)
    monkeypatch.setattr('tempfile.tempdir', str(small_disk))
    assert _run('score', made, tmp_path / 'score.json') == 2
    assert 'No space left on device' in _line(capsys)
    assert [path.name for path in small_disk.iterdir()] == ['.filling']
    assert not [*tmp_path.glob('score*')]


@pytest.mark.skipif(not os.path.exists(_UNREADABLE), reason='Linux has such a file')
@pytest.mark.parametrize(
    ('name', 'spoilt'),
    _chosen(
        [
            ('convert', 'yard/val/im1.jpg'),
            ('convert', 'yard/annotations/panoptic_val/im1.png'),
            ('convert', 'yard/annotations/panoptic_val.json'),
            ('convert', 'yard/yard.json'),
            ('predict', 'yard/val/im1.jpg'),
            ('score', 'predictions/panoptic.json'),
            ('score', 'predictions/instances.json'),
            ('score', 'predictions/panoptic/im1.png'),
            ('score', 'yard/annotations/instances_val.json'),
            ('evaluate', 'predictions/panoptic/im1.png'),
            ('report', 'predictions/panoptic/im1.png'),
            ('report', 'yard/val/im1.jpg'),
            ('statistics', 'records/val-00000-of-00002.tfrecord'),
            ('show', 'records/val-00000-of-00002.tfrecord'),
        ],
        'evaluate',
        'show',
    ),
)
def test_a_damaged_disk(made, tmp_path, capsys, name, spoilt):
    folder = tmp_path / 'made'
    shutil.copytree(made, folder)
    (folder / 'records/manifest.json').unlink()  # it would tell that a file has another size
    (folder / spoilt).unlink()
    (folder / spoilt).symlink_to(_UNREADABLE)
    output = tmp_path / f'out{_ENDINGS.get(name, "")}'
    assert _run(name, folder, output) == 2
    line = _line(capsys)
    assert 'Input/output error; check ' in line
    assert str(folder / spoilt) in line
    assert not output.exists() or _is_clean(output)


@pytest.mark.parametrize('name', _chosen(JOBS, 'toy', 'convert', 'evaluate', 'score', 'show'))
def test_a_name_that_is_too_long(made, tmp_path, capsys, name):
    assert _run(name, made, tmp_path / f'{"x" * 300}{_ENDINGS.get(name, "")}') == 2
    assert 'File name too long; shorten the name' in _line(capsys)
    assert not [*tmp_path.iterdir()]


@pytest.mark.slow
@pytest.mark.parametrize('condition', ['full', 'limit'])
def test_a_checkpoint_is_whole_or_absent(tmp_path, capsys, request, condition):
    pattern = experiments.write_records(tmp_path)
    place = request.getfixturevalue('small_disk') if condition == 'full' else tmp_path
    fields = (
        *experiments.overrides(pattern, 2),
        'experiment_name=first',
        'trainer_options.save_summaries_steps=8',
    )
    given = ['--config', str(experiments.CONFIG), '--model_dir', str(place / 'runs'), '--mode', 'train']
    arguments = [*given, *(f'--set={field}' for field in fields)]
    limit = _small_files(2**16) if condition == 'limit' else contextlib.nullcontext()
    if condition == 'full':
        subprocess.run(['mount', '-o', 'remount,size=1m', place], check=True)
    with limit:
        assert train.main(arguments) == 2
    line = _line(capsys)
    assert ('No space left on device' if condition == 'full' else 'File too large') in line
    assert str(place) in line
    run = pathlib.Path(place / 'runs/first')
    assert not [*run.glob('ckpt-*')]
    assert not (run / 'checkpoint').exists()
    assert not (run / '.lock').exists()
    if condition == 'full':
        subprocess.run(['mount', '-o', 'remount,size=512m', place], check=True)
    assert train.main(arguments) == 0
    assert (run / 'checkpoint').exists()
