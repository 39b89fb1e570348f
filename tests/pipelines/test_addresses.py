# SPDX-License-Identifier: Apache-2.0
"""Every job takes addresses of storage, and none makes a folder that is named after a scheme."""

import json

import fsspec
import google.auth
import numpy as np
import pytest
from google.auth import credentials

import buckets
import synthetic
from panpipe.model import datasets
from panpipe.model.storage import files, manifest
from panpipe.pipelines import convert, evaluate, report, show, statistics, toy, validate
from panpipe.pipelines.running import failures

DATASET = ('--dataset', 'cityscapes_panoptic')
SPEC = datasets.SPECS['cityscapes_panoptic']


@pytest.fixture(name='store', scope='module')
def fixture_store(tmp_path_factory):
    """Serves a bucket with a toy data set, its records and predictions, all written through the jobs."""
    with pytest.MonkeyPatch.context() as patch, buckets.serving('data') as (store, host):
        patch.setenv('STORAGE_EMULATOR_HOST', host)
        patch.setenv('GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT', 'false')
        patch.chdir(tmp_path_factory.mktemp('empty'))
        fsspec.filesystem('gs', skip_instance_cache=True).clear_instance_cache()
        size = ('--images=3', '--height=64', '--width=128')
        assert toy.main([*DATASET, '--output', 'gs://data/raw', *size]) == 0
        assert convert.main([*DATASET, '--input', 'gs://data/raw', '--output', 'gs://data/records']) == 0
        _predict(tmp_path_factory.mktemp('predicted') / 'predictions')
        yield store
        fsspec.filesystem('gs', skip_instance_cache=True).clear_instance_cache()


@pytest.fixture(autouse=True)
def _nothing_local(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    yield
    assert not list(tmp_path.glob('gs*'))


def _predict(folder):
    """Writes the ground truth, shifted, as predictions."""
    truths = synthetic.truths('gs://data/raw', SPEC)
    named = {name: np.roll(truth, 3, 1) for name, truth in truths.items()}
    synthetic.write_predictions(folder, named, SPEC)
    files.copy_tree(folder, 'gs://data/predictions')


def test_toy_and_convert_write_there(store):
    names = store.names('data')
    assert 'raw/gtFine/cityscapes_panoptic_val.json' in names
    assert [name for name in names if name.startswith('records/.')] == []
    told = manifest.read('gs://data/records')
    assert {split: facts.images for split, facts in told.splits.items()} == {'train': 3, 'val': 1}
    assert all(f'records/{shard.name}' in names for split in told.splits.values() for shard in split.shards)


def test_a_shard_is_copied_at_most_once(store):
    before = dict(store.counts)
    arguments = ['--input', 'gs://data/raw', '--output', 'gs://data/again', '--splits=val', '--num_shards=1']
    assert convert.main([*DATASET, *arguments]) == 0
    copies = [store.counts.get(how, 0) - before.get(how, 0) for how in ('rewriteTo', 'copyTo', 'moveTo')]
    assert sum(copies) == 1


def test_show(store, capsys):
    assert show.main(['gs://data/records/train*', '--list']) == 0
    assert len(capsys.readouterr().out.split()) == 3
    assert show.main(['gs://data/records', '--output', 'gs://data/shown/sample.png']) == 0
    assert show.main(['gs://data/predictions', *DATASET, '--output', 'gs://data/shown/prediction.png']) == 0
    for name in ('sample', 'prediction'):
        assert files.read(f'gs://data/shown/{name}.png').startswith(b'\x89PNG')


def test_validate(store, capsys):
    where = ('--predictions', 'gs://data/predictions', '--ground_truth', 'gs://data/raw')
    assert validate.main(['--format', 'cityscapes', *where]) == 0
    files.write_whole('gs://data/wrong/panoptic.json', b'{}')
    assert validate.main(['--format', 'cityscapes', '--predictions', 'gs://data/wrong']) == 2
    assert 'gs://data/wrong has' in capsys.readouterr().err


@pytest.mark.parametrize('truth', ['gs://data/raw', 'gs://data/records/val*', 'gs://data/records/'])
def test_evaluate(store, truth, capsys):
    arguments = ['--predictions', 'gs://data/predictions', '--output', 'gs://data/evaluation.json']
    skip = ['--on_error', 'skip'] if truth.endswith('/') else []  # of which the train images lack predictions
    assert evaluate.main([*DATASET, '--ground_truth', truth, *arguments, *skip]) == 0
    assert json.loads(files.read('gs://data/evaluation.json'))['num_images'] == 1
    letters = f'gs://data/evaluation.json{failures.ENDING}'
    assert files.exists(letters) == bool(skip)
    assert len(files.read(letters).splitlines()) == 3 if skip else True


def test_report(store):
    where = ('--predictions', 'gs://data/predictions', '--ground_truth', 'gs://data/raw')
    more = ('--records', 'gs://data/records', '--output', 'gs://data/report.html', '--pictures', '1')
    assert report.main([*DATASET, *where, *more]) == 0
    assert b'<html' in files.read('gs://data/report.html')


@pytest.mark.slow
def test_statistics(store):
    arguments = ['--input', 'gs://data/records/train*', '--output', 'gs://data/statistics']
    assert statistics.main([*DATASET, *arguments]) == 0
    assert json.loads(files.read('gs://data/statistics/statistics.json'))['images'] == 3
    assert files.find('gs://data/statistics', 'transform_graph/transform_fn/saved_model.pb')


@pytest.mark.parametrize(
    ('main', 'arguments'),
    [
        (toy.main, [*DATASET, '--output', 'gs://none/x']),
        (convert.main, [*DATASET, '--input', 'gs://data/raw', '--output', 'gs://none/x']),
        (convert.main, [*DATASET, '--input', 'gs://none/raw', '--output', 'x']),
        (statistics.main, [*DATASET, '--input', 'gs://none/r*', '--output', 'x']),
        (validate.main, ['--format', 'coco', '--predictions', 'gs://none/x']),
        (evaluate.main, [*DATASET, '--predictions', 'gs://none/x', '--ground_truth', 'y', '--output', 'z']),
        (report.main, [*DATASET, '--predictions', 'gs://none/x', '--ground_truth', 'y', '--output', 'z']),
        (show.main, ['gs://none/r*', '--output', 'x.png']),
    ],
)
def test_a_missing_bucket_is_told_in_one_line(store, main, arguments, capsys):
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert 'there is no bucket none' in error
    assert error.count('\n') == 1


def test_a_template_publishes_as_a_step_of_its_pipeline(store, capsys, monkeypatch):
    # Beam looks for credentials for half a minute.
    monkeypatch.setattr(google.auth, 'default', lambda **_: (credentials.AnonymousCredentials(), 'project'))
    beam = [
        '--runner=DataflowRunner', '--project=project-one', '--region=us-central1', '--no_auth',
        '--temp_location=gs://data/temp', '--template_location=gs://data/templates/convert',
    ]  # fmt: skip
    arguments = ['--input', 'gs://data/raw', '--output', 'gs://data/later', '--splits=val']
    assert convert.main([*DATASET, *arguments, *beam]) == 0
    assert 'wrote the template' in capsys.readouterr().out
    assert json.loads(files.read('gs://data/templates/convert'))['type'] == 'JOB_TYPE_BATCH'
    (graph,) = (name for name in store.names('data') if name.endswith('/pipeline.pb'))
    assert b'PublishShards' in files.read(f'gs://data/{graph}')
    assert not files.exists('gs://data/later/manifest.json')
