# SPDX-License-Identifier: Apache-2.0
"""Whole jobs on small sets spoilt at random: status 0, or 2 with one line; outputs whole or absent.

Each mutation is told by its number, so that a failure can be had again.
"""

import contextlib
import dataclasses
import io
import json
import pathlib
import shutil
from collections.abc import Callable, Sequence

import numpy as np
import pytest

import experiments
import judged
import spoiling
import stripes
import synthetic
import yards
from panpipe.model import train
from panpipe.model.inputs import records
from panpipe.model.storage import lock, manifest, record_sets
from panpipe.pipelines import convert, evaluate, predict, score, show, validate
from panpipe.pipelines.record_files import lookup


@dataclasses.dataclass(frozen=True)
class Job:
    """Names a job, how often it is tried, its arguments for a set, and what it leaves."""

    main: Callable[[Sequence[str]], int]
    number: int
    arguments: Callable[[pathlib.Path], list]
    output: str | None = None
    is_whole: Callable[[pathlib.Path], object] = lambda path: json.loads(path.read_text())


def _are_records_whole(folder):
    for split, told in manifest.read(folder).splits.items():
        found = record_sets.find('x', f'{folder}/{split}*')
        parsed = [records.parse(one) for one in lookup.read([one.path for one in found])]
        assert len(parsed) == told.images


def _is_prediction_whole(folder):
    content = json.loads((folder / 'panoptic.json').read_text())
    for entry in content['annotations']:
        yards.pixels(folder / 'panoptic' / entry['file_name'])


def _truth(root):
    return ['--ground_truth', root / 'raw', '--predictions', root / 'predictions']


def _named(root):
    is_yard = (root / 'raw/yard.json').exists()
    return ['--dataset', root / 'raw/yard.json' if is_yard else 'cityscapes_panoptic']


def _conversion(root):
    return [*_named(root), '--input', root / 'raw', *_out(root), '--splits', 'val']


def _out(root):
    return ['--output', root / 'out']


def _model(root):
    return ['--saved_model', root / 'model']


def _form(root):
    return ['--format', 'cityscapes' if (root / 'raw/gtFine').exists() else 'coco']


def _training(root):
    return ['--config', root / 'config/c.textproto', '--model_dir', root / 'out', '--mode', 'eval']


# 2,000 mutations in all. The official evaluators are programs of their own, which take seconds.
JOBS = {
    'convert': Job(convert.main, 300, _conversion, 'out', _are_records_whole),
    'classes alone': Job(
        convert.main, 60, lambda root: [*_conversion(root), '--semantic_only'], 'out', _are_records_whole
    ),
    'skip': Job(
        convert.main, 60, lambda root: [*_conversion(root), '--on_error', 'skip'], 'out', _are_records_whole
    ),
    'evaluate': Job(
        evaluate.main, 200, lambda root: [*_named(root), *_truth(root), *_out(root)], 'out'
    ),
    'evaluate records': Job(
        evaluate.main,
        120,
        lambda root: [*_named(root), *_truth(root), '--ground_truth', root / 'records', *_out(root)],
        'out',
    ),
    'validate': Job(validate.main, 900, lambda root: [*_form(root), *_named(root), *_truth(root)]),
    'score': Job(
        score.main, 60, lambda root: [*_form(root), *_named(root), *_truth(root), *_out(root)], 'out'
    ),
    'predict': Job(
        predict.main,
        40,
        lambda root: [*_model(root), '--input', root / 'raw', '--split', 'val', *_out(root)],
        'out',
        _is_prediction_whole,
    ),
    'predict records': Job(
        predict.main,
        40,
        lambda root: [*_model(root), '--input', root / 'records/*.tfrecord', *_out(root)],
        'out',
        _is_prediction_whole,
    ),
    'show': Job(
        show.main, 60, lambda root: [root / 'records', '--output', root / 'out.png'], 'out.png', yards.pixels
    ),
    'configuration': Job(train.main, 160, _training),
}  # fmt: skip


def _with_predictions(root, dataset):
    """Adds records, and the ground truth as a prediction, to raw data."""
    found = judged.converted(root, root / 'raw', dataset)
    judged.predicted(root, found, dataset)
    stripes.save(root / 'model', dataset)
    text = experiments.CONFIG.read_text().replace('${', '').replace('}"', '"')
    (root / 'config').mkdir()
    (root / 'config/c.textproto').write_text(text)
    return root


@pytest.fixture(scope='module')
def sound(tmp_path_factory):
    """Makes a custom set, and one like Cityscapes."""
    yard, street = (tmp_path_factory.mktemp(name) for name in ('yard', 'street'))
    made = yards.Yard(yard / 'raw').add_instances().add_classes()
    synthetic.toy(street, height=32, width=64).rename(street / 'raw')
    shutil.rmtree(street / 'raw/leftImg8bit/train')
    shutil.rmtree(street / 'raw/gtFine/train')
    return _with_predictions(yard, made.dataset), _with_predictions(street, 'cityscapes_panoptic')


def _run(sound, root, name, number):
    """Runs a job on a mutation; returns its status."""
    job, rng = JOBS[name], np.random.default_rng([sum(name.encode()), abs(number)])
    shutil.rmtree(root, ignore_errors=True)
    shutil.copytree(sound[number % 2], root)
    arguments = [str(argument) for argument in job.arguments(root)]
    below = [pathlib.Path(one) for one in arguments if one.startswith(str(root))]
    read = [path for path in below if path.exists() or '*' in path.name]
    chosen = read[rng.integers(len(read))] if number >= 0 else None
    if chosen is not None:
        spoiling.folder(rng, chosen if chosen.is_dir() else chosen.parent)
    told = io.StringIO()
    with contextlib.redirect_stderr(told), contextlib.redirect_stdout(io.StringIO()):
        status = job.main(arguments)
    what = f'{name} {number}: {told.getvalue()}'
    assert status in (0, 2), what
    lines = told.getvalue().splitlines()
    assert sum(': error: ' in line for line in lines) == (status == 2), what
    assert 'Traceback' not in told.getvalue(), what
    _check_output(root, job, status, what)
    return status


def _check_output(root, job, status, what):
    assert not [*root.rglob(f'*{lock.NAME}')], what
    if job.output is None:
        return
    output = root / job.output
    if status == 0:
        job.is_whole(output)
    elif output.is_dir():  # staged work for the next run
        assert all(path.name.startswith('.') for path in output.iterdir()), what
    else:
        assert not output.exists(), what


@pytest.mark.parametrize('name', JOBS)
def test_sound_sets_pass(sound, tmp_path, name):
    for number in (-2, -1):  # spoils nothing
        if name != 'configuration':
            assert _run(sound, tmp_path / 'root', name, number) == 0


@pytest.mark.slow
@pytest.mark.parametrize('name', JOBS)
def test_mutations_end_well(sound, tmp_path, name):
    statuses = [_run(sound, tmp_path / 'root', name, number) for number in range(JOBS[name].number)]
    assert statuses.count(2) > len(statuses) / 10


def test_there_are_two_thousand():
    assert sum(job.number for job in JOBS.values()) == 2000
