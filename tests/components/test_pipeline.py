# SPDX-License-Identifier: Apache-2.0
import inspect
import json
import pathlib
import re
import types

import pytest
import yaml
from kfp import dsl

from panpipe.components import command, pipeline, steps
from panpipe.model.jobs import command_line

ROOT = pathlib.Path(__file__).parents[2]
STEPS = ('source', 'convert', 'statistics', 'train', 'evaluate', 'export', 'predict', 'score', 'report')
VALUES = {
    'dataset': 'cityscapes_panoptic',
    'raw_data': '',
    'images': 2,
    'height': 64,
    'width': 128,
    'train_split': 'train',
    'val_split': 'val',
    'config': '',
    'overrides': ['trainer_options.solver_options.base_learning_rate=1e-3'],
    'mode': 'train',
}


def _spec(**settings):
    return list(yaml.safe_load_all(pipeline.compiled(pipeline.Cluster(**settings))))


def test_shipped_manifest_is_what_compiles():
    shipped = (ROOT / 'manifests' / 'pipeline.yaml').read_text()
    assert shipped == pipeline.compiled(pipeline.Cluster()), 'run: panpipe workflow compile'


def test_manifest_names_no_folder_of_the_machine_that_compiled_it():
    text = pipeline.compiled(pipeline.Cluster())
    assert not re.search(r'/(home|root|work|Users)/', text)
    assert str(ROOT) not in text


def test_every_step_has_the_image_and_retries():
    (document,) = _spec(image='registry.example/panpipe:1')
    executors = document['deploymentSpec']['executors'].values()
    assert {e['container']['image'] for e in executors} == {'registry.example/panpipe:1'}
    assert len(executors) == len(STEPS)
    assert all(
        task['retryPolicy']['maxRetryCount'] == 2 for task in document['root']['dag']['tasks'].values()
    )


def test_accelerators_go_to_train_and_predict_alone():
    document, platform = _spec(
        accelerator='nvidia.com/gpu', accelerators=2, node_selector={'gpu': 'a'}, volumes={'data': '/data'}
    )
    executors = document['deploymentSpec']['executors']
    limits = {name for name, e in executors.items() if 'accelerator' in e['container'].get('resources', {})}
    assert limits == {'exec-train', 'exec-evaluate', 'exec-predict'}
    assert executors['exec-train']['container']['resources']['accelerator']['resourceCount'] == '2'
    settings = platform['platforms']['kubernetes']['deploymentSpec']['executors']
    assert {name for name, e in settings.items() if 'nodeSelector' in e} == limits
    assert {name for name, e in settings.items() if e['pvcMount'][0]['mountPath'] == '/data'} == set(
        executors
    )


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


@pytest.mark.parametrize('name', STEPS)
def test_steps_call_jobs_with_arguments_that_these_know(name, tmp_path, monkeypatch):
    """Runs the body of a step with the jobs' real parsers, but stops each job before its work."""
    called = []
    monkeypatch.setattr(command_line, 'run', lambda job, body: called.append(job) or 0)
    function = getattr(steps, name).python_func
    (tmp_path / 'score').write_text('{"pq": {"all": 1}, "miou": 2}')
    run_dir = tmp_path / 'evaluation' / 'run'
    run_dir.mkdir(parents=True)
    confusion = [[0] * 20 for _ in range(19)]
    (run_dir / 'evaluation.json').write_text(json.dumps({'miou': 1.0, 'confusion': confusion}))
    function(**_arguments(function, tmp_path))
    job = {'source': 'toy', 'evaluate': 'train'}.get(name, name)
    assert job in called
    assert job in command.JOBS


def test_source_points_to_given_data(tmp_path):
    raw = dsl.Dataset(name='raw', uri=str(tmp_path / 'raw'))
    steps.source.python_func('coco_panoptic', 'gs://bucket/coco', 1, 32, 32, raw)
    assert raw.uri == 'gs://bucket/coco'


def test_bodies_of_steps_import_all_they_name():
    for name in STEPS:
        function = getattr(steps, name).python_func
        code = function.__code__
        used = {n for n in code.co_names if n in vars(steps) and isinstance(vars(steps)[n], types.ModuleType)}
        assert not used, f'{name} uses {used} of the module, which does not travel into the container'
