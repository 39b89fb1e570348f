# SPDX-License-Identifier: Apache-2.0
import inspect
import pathlib
import re
import types

import pytest
from kfp import dsl

from panpipe.components import command, experiment, places, profiles, steps
from panpipe.model.jobs import command_line
from panpipe.model.metrics import result_files, results

STEPS = tuple(step for step in profiles.STEPS if step != 'summary')
VALUES = {
    'dataset': 'cityscapes_panoptic',
    'raw_data': '',
    'data': 'd1',
    'work': '',
    'min_pq': 0.0,
    'images': 2,
    'height': 64,
    'width': 128,
    'train_split': 'train',
    'val_split': 'val',
    'config': experiment.source('toy/cityscapes_mobilenet_v3_small'),
    'overrides': ['trainer_options.solver_options.base_learning_rate=1e-3'],
    'mode': 'train',
    'strategy': 'tpu',
}


def test_image_carries_the_version_of_the_package():
    version = command.importlib.metadata.version('panpipe')
    assert steps.IMAGE.endswith(f':{version}')


def _arguments(function, folder):
    """Makes an artifact for each parameter that is one, and takes the rest from VALUES."""
    made = {}
    for name, parameter in inspect.signature(function).parameters.items():
        if name in VALUES:
            made[name] = VALUES[name]
            continue
        made[name] = parameter.annotation.__origin__(name=name, uri=str(folder / name))
        assert isinstance(made[name], dsl.Artifact)
    return made


def _scored(pq):
    groups = results.Groups(pq, None, None), results.NOTHING, results.NOTHING
    return results.Result('e', 1, *groups, results.ClassCounts(), None, {})


@pytest.mark.parametrize('name', STEPS)
def test_steps_call_jobs_with_arguments_that_these_know(name, tmp_path, monkeypatch):
    """Runs the body of a step with the jobs' real parsers, but stops each job before its work."""
    called = []
    run = command_line.run

    def stop(job, body):
        called.append(job)
        return run(job, body) if 'Attempt' in getattr(body, '__qualname__', '') else 0

    monkeypatch.setattr(command_line, 'run', stop)
    function = getattr(steps, name).python_func
    result_files.write(tmp_path / 'score', _scored(1.0))
    run_dir = tmp_path / 'evaluation' / 'run'
    run_dir.mkdir(parents=True)
    result_files.write(run_dir / 'evaluation.json', _scored(1.0))
    function(**_arguments(function, tmp_path))
    job = {'source': 'workflow', 'accept': 'workflow', 'evaluate': 'train'}.get(name, name)
    assert job in called
    assert job in command.JOBS


def test_given_data_stay_where_they_are(tmp_path):
    raw = dsl.Dataset(name='raw', uri=str(tmp_path / 'raw'))
    steps.toy.python_func('coco_panoptic', 'gs://bucket/coco', 1, 32, 32, '', raw)
    assert raw.uri == str(tmp_path / 'raw')
    assert raw.metadata == {'address': 'gs://bucket/coco'}
    assert (tmp_path / 'raw').read_text() == 'gs://bucket/coco'


def test_a_model_below_the_gate_is_not_accepted(tmp_path, capsys):
    made = {
        name: dsl.Artifact(name=name, uri=str(tmp_path / name)) for name in ('score', 'exported', 'accepted')
    }
    result_files.write(tmp_path / 'score', _scored(54.3))
    with pytest.raises(SystemExit) as stop:
        steps.accept.python_func(55.0, '', *made.values())
    assert stop.value.code == 1
    assert 'PQ 54.30 is below min_pq 55' in capsys.readouterr().err.splitlines()[-1]
    assert not (tmp_path / 'accepted').exists()
    steps.accept.python_func(54.0, '', *made.values())
    assert made['accepted'].metadata == {'address': str(tmp_path / 'exported'), 'pq': 54.3, 'min_pq': 54.0}


def test_the_digest_tells_data_and_toy_data_apart(tmp_path):
    (tmp_path / 'a.png').touch()
    given = steps.source.python_func(str(tmp_path), 1, 32, 32, '')
    assert re.fullmatch('[0-9a-f]{16}', given)
    toys = {steps.source.python_func('', images, 32, 32, '') for images in (1, 2)}
    assert len({given, *toys}) == 3


def test_the_whole_way_by_address(tmp_path, monkeypatch):
    """With `work`, jobs write there, and what follows reads from there; artifacts only point."""
    seen = {}

    def note(job, *arguments):
        seen[job] = arguments
        return 0

    monkeypatch.setattr(command, 'main', lambda arguments: note(*arguments))
    monkeypatch.setattr(places.files, 'read', lambda address: b'{}')
    work = str(tmp_path / 'work')
    made = {
        name: dsl.Artifact(name=name, uri=str(tmp_path / name)) for name in ('records', 'model', 'raw', 'x')
    }
    config = experiment.source('toy/cityscapes_mobilenet_v3_small')
    convert = ('cityscapes_panoptic', 'train', 'val', '/data', 'd1', work)
    steps.convert.python_func(*convert, made['raw'], made['records'], made['x'])
    records = seen['convert'][seen['convert'].index('--output') + 1]
    assert records.startswith(f'{work}/records-')
    assert seen['convert'][seen['convert'].index('--input') + 1] == '/data'
    train = ('cityscapes_panoptic', config, [], 'train', 'gpu', 'train', 'val', work)
    steps.train.python_func(*train, made['records'], made['model'])
    assert seen['train'][-2:] == ('--strategy', 'gpu')
    model = seen['train'][seen['train'].index('--model_dir') + 1]
    assert model.startswith(f'{work}/model-')
    text = pathlib.Path(model, 'experiment.textproto').read_text()
    assert f'{records}/train-*.tfrecord' in text
    steps.export.python_func(work, made['model'], made['x'])
    assert experiment.run_dir(model) in seen['export']


def test_bodies_of_steps_import_all_they_name():
    for name in STEPS:
        function = getattr(steps, name).python_func
        code = function.__code__
        used = {n for n in code.co_names if n in vars(steps) and isinstance(vars(steps)[n], types.ModuleType)}
        assert not used, f'{name} uses {used} of the module, which does not travel into the container'
