# SPDX-License-Identifier: Apache-2.0
import pathlib
import re

import pytest
import yaml

from panpipe.components import cluster_options, compilation, notes, pipeline, profiles, workflow

ROOT = pathlib.Path(__file__).parents[2]


def _spec(*options):
    parser = workflow.command_line.parser('workflow', '', ())
    cluster_options.add(parser)
    return list(
        yaml.safe_load_all(compilation.compiled(cluster_options.read(parser.parse_args(list(options)))))
    )


def _tasks(document):
    """Collects the tasks of the pipeline and of its nested parts."""
    dags = [part['dag'] for part in (document['root'], *document['components'].values()) if 'dag' in part]
    return {name: task for dag in dags for name, task in dag['tasks'].items()}


def _steps(document):
    return {name: task for name, task in _tasks(document).items() if name in profiles.STEPS}


def test_shipped_manifest_is_what_compiles():
    shipped = (ROOT / 'manifests' / 'pipeline.yaml').read_text()
    assert shipped == compilation.compiled(compilation.Cluster()), 'run: panpipe workflow compile'


def test_manifest_names_no_folder_of_the_machine_that_compiled_it():
    text = compilation.compiled(compilation.Cluster())
    assert not re.search(r'/(home|root|work|Users)/', text)
    assert str(ROOT) not in text


def test_every_step_has_the_image_retries_and_the_name_of_the_run():
    document, platform = _spec('--image', 'registry.example/panpipe:1')
    executors = document['deploymentSpec']['executors'].values()
    assert {e['container']['image'] for e in executors} == {'registry.example/panpipe:1'}
    assert len(executors) == len(profiles.STEPS)
    assert set(_steps(document)) == set(profiles.STEPS)
    assert all(task['retryPolicy']['maxRetryCount'] == 2 for task in _steps(document).values())
    settings = platform['platforms']['kubernetes']['deploymentSpec']['executors'].values()
    assert {s['fieldPathAsEnv'][0]['name'] for s in settings} == {notes.VARIABLE}
    assert len(settings) == len(profiles.STEPS)


def test_no_step_sets_the_uri_of_an_artifact():
    """Kubeflow's launcher refuses output artifacts outside the run's own root: '/data', 'gs://another/bucket'."""
    (document, _) = _spec()
    for name, executor in document['deploymentSpec']['executors'].items():
        source = '\n'.join(executor['container']['command'])
        assert not re.search(r'\.(uri|path)\s*=[^=]', source), name
        assert 'importer' not in executor, name


def test_no_branch_stands_between_steps_and_their_data():
    """A branch whose only task is cached never completes, and OneOf of artifacts does not work there."""
    (document, _) = _spec()
    for name, task in _tasks(document).items():
        assert 'condition' not in task.get('triggerPolicy', {}), name
        for artifact in task.get('inputs', {}).get('artifacts', {}).values():
            assert set(artifact) == {'taskOutputArtifact'}, name
            assert artifact['taskOutputArtifact']['producerTask'] in profiles.STEPS, name
    assert not re.search('oneof', yaml.safe_dump(document), re.IGNORECASE)


def test_raw_data_is_a_string_wherever_it_is_read():
    (document, _) = _spec()
    readers = {
        name for name, task in _steps(document).items() if 'raw_data' in task['inputs'].get('parameters', {})
    }
    assert readers == {'source', 'toy', 'convert', 'score', 'report'}
    for name in readers:
        wanted = document['components'][f'comp-{name}']['inputDefinitions']['parameters']['raw_data']
        assert wanted == {'parameterType': 'STRING'}


def test_steps_that_read_raw_data_depend_on_its_digest():
    """The cache goes by the text of parameters, so data that changed in place must change one of them."""
    (document, _) = _spec()
    for name in ('convert', 'score', 'report'):
        value = _steps(document)[name]['inputs']['parameters']['data']
        assert value['taskOutputParameter']['producerTask'] == 'source'
    cached = {name for name, t in _steps(document).items() if t.get('cachingOptions', {}).get('enableCache')}
    assert cached == set(profiles.STEPS) - set(pipeline.UNCACHED)
    assert 'source' in pipeline.UNCACHED


def test_the_summary_runs_however_the_others_end_and_can_be_left_out():
    (document, _) = _spec()
    summary = document['root']['dag']['tasks']['summary']
    assert summary['triggerPolicy']['strategy'] == 'ALL_UPSTREAM_TASKS_COMPLETED'
    (flat, _) = _spec('--no_summary')
    assert set(flat['root']['dag']['tasks']) == set(profiles.STEPS) - {'summary'}


def test_a_model_that_is_not_accepted_is_not_reported():
    (document, _) = _spec()
    assert 'accept' in _steps(document)['report']['dependentTasks']
    assert 'score' in _steps(document)['accept']['dependentTasks']


def test_accelerators_go_to_train_evaluate_and_predict_alone():
    document, platform = _spec(
        '--accelerator=nvidia.com/gpu=2',
        '--node_selector=gpu=a',
        '--volume=data=/data',
        '--toleration=t:NoExecute',
    )
    executors = document['deploymentSpec']['executors']
    limits = {name for name, e in executors.items() if 'accelerator' in e['container'].get('resources', {})}
    assert limits == {'exec-train', 'exec-evaluate', 'exec-predict'}
    assert executors['exec-train']['container']['resources']['accelerator']['resourceCount'] == '2'
    settings = platform['platforms']['kubernetes']['deploymentSpec']['executors']
    assert {name for name, e in settings.items() if 'nodeSelector' in e} == limits
    assert {name for name, e in settings.items() if 'tolerations' in e} == limits
    assert {name for name, e in settings.items() if e['pvcMount'][0]['mountPath'] == '/data'} == set(
        executors
    )


def test_a_profile_reaches_requests_limits_taints_and_shared_memory():
    document, platform = _spec('--profile=gpu', '--ask=train.memory=30Gi')
    resources = document['deploymentSpec']['executors']['exec-train']['container']['resources']
    assert resources['resourceCpuRequest'] == '8'
    assert resources['resourceMemoryRequest'] == '30Gi'
    assert resources['resourceMemoryLimit'] == '48Gi'
    assert resources['accelerator']['resourceType'] == 'nvidia.com/gpu'
    settings = platform['platforms']['kubernetes']['deploymentSpec']['executors']['exec-train']
    assert settings['tolerations'] == [
        {'effect': 'NoSchedule', 'key': 'nvidia.com/gpu', 'operator': 'Exists'}
    ]
    (shared,) = settings['emptyDirMounts']
    assert (shared['mountPath'], shared['medium'], shared['sizeLimit']) == ('/dev/shm', 'Memory', '8Gi')


def test_secrets_come_as_variables_and_as_files():
    _, platform = _spec('--secret_env=aws.key=AWS_SECRET_ACCESS_KEY', '--secret_volume=gcp=/secrets')
    for settings in platform['platforms']['kubernetes']['deploymentSpec']['executors'].values():
        (variable,) = settings['secretAsEnv']
        assert variable['keyToEnv'] == [{'envVar': 'AWS_SECRET_ACCESS_KEY', 'secretKey': 'key'}]
        assert settings['secretAsVolume'][0]['mountPath'] == '/secrets'


@pytest.mark.parametrize(
    ('option', 'words'),
    [
        ('--secret_env=aws=X', 'write SECRET.KEY=VARIABLE'),
        ('--profile=gpus', '--profile gpus: it is cpu'),
        ('--toleration=x', 'write KEY:EFFECT'),
        *((f'--accelerator={text}', 'write RESOURCE=N') for text in ('foo', 'foo=', 'foo=x', '=1', 'foo=0')),
    ],
)
def test_wrong_options_are_refused(option, words, tmp_path, capsys):
    path = tmp_path / 'pipeline.yaml'
    assert workflow.main(['compile', '--output', str(path), option]) == 2
    assert words in capsys.readouterr().err
    assert not path.exists()
