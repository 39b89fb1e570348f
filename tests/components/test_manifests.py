# SPDX-License-Identifier: Apache-2.0
"""Our Kubernetes manifests against the published definitions of the resources, `tests/schemas/`."""

import gzip
import json
import os
import pathlib
import re

import pytest
import yaml

from panpipe.components import jobset, profiles
from panpipe.model import train
from panpipe.model.jobs import workers

ROOT = pathlib.Path(__file__).parents[2]
SCHEMAS = ROOT / 'tests' / 'schemas'
FILES = ('jobset-gpu.yaml', 'jobset-tpu.yaml', 'trainjob.yaml')
_TYPES = {
    'object': dict,
    'array': list,
    'string': str,
    'integer': int,
    'boolean': bool,
    'number': (int, float),
}


def faults(value, schema, where=''):
    """Lists what a cluster would refuse; unknown fields too, which `kubectl create` refuses."""
    if schema.get('x-kubernetes-int-or-string'):
        if isinstance(value, bool) or not isinstance(value, int | str):
            return [f'{where}: neither number nor text']
        return _unmatched(value, schema, where) if isinstance(value, str) else []
    if isinstance(value, bool) != (schema['type'] == 'boolean') or not isinstance(
        value, _TYPES[schema['type']]
    ):
        return [f'{where}: {value!r} is no {schema["type"]}']
    if isinstance(value, list):
        return [f for n, each in enumerate(value) for f in faults(each, schema['items'], f'{where}[{n}]')]
    if isinstance(value, dict):
        return _of_object(value, schema, where)
    return [*_unmatched(value, schema, where), *_outside(value, schema, where)]


def _of_object(value, schema, where):
    known, other = schema.get('properties', {}), schema.get('additionalProperties')
    found = [f'{where}: {name} is missing' for name in schema.get('required', ()) if name not in value]
    for name, each in value.items():
        if name in known or other:
            found += faults(each, known.get(name, other), f'{where}.{name}')
        elif known and not schema.get('x-kubernetes-preserve-unknown-fields'):
            found.append(f'{where}: no field {name}')
    return found


def _unmatched(value, schema, where):
    pattern = schema.get('pattern')
    is_wrong = pattern and isinstance(value, str) and not re.search(pattern, value)
    return [f'{where}: {value!r} does not match {pattern}'] if is_wrong else []


def _outside(value, schema, where):
    if 'enum' in schema and value not in schema['enum']:
        return [f'{where}: {value!r} is none of {schema["enum"]}']
    if value != value or not isinstance(value, int | float):
        return []
    is_in = schema.get('minimum', value) <= value <= schema.get('maximum', value)
    return [] if is_in else [f'{where}: {value} is out of range']


def _schema(document):
    name = SCHEMAS / f'{document["kind"].lower()}.json.gz'
    told = json.loads(gzip.decompress(name.read_bytes()))
    group, _, version = document['apiVersion'].partition('/')
    assert (told['group'], told['kind']) == (group, document['kind'])
    return told['versions'][version]


def _documents(name):
    return list(yaml.safe_load_all((ROOT / 'manifests' / name).read_text()))


@pytest.mark.parametrize('name', FILES)
def test_published_definitions_accept_the_manifests(name):
    for document in _documents(name):
        assert faults(document, _schema(document)) == []


def test_published_definitions_accept_what_the_step_creates():
    needs = profiles.needs(profiles.override(profiles.table('gpu'), ['train.node_selector=gpu=l4']), 'train')
    described = jobset.template(
        'r/p:1', 3, needs, {'data': '/data'}, {('s', 'k'): 'KEY'}, {'gcp': '/secrets'}
    )
    os.environ.pop('KFP_POD_NAME', None)
    made = jobset.complete(described, 'panpipe-model-1', ['panpipe', 'train'])
    assert faults(made, _schema(made)) == []


@pytest.mark.parametrize(
    ('change', 'fault'),
    [
        (lambda job: job.update(completions='4'), "completions: '4' is no integer"),
        (lambda job: job.update(compeltions=4), 'no field compeltions'),
        (lambda job: job.pop('template'), 'template is missing'),
    ],
)
def test_a_wrong_manifest_is_noticed(change, fault):
    (document,) = _documents('jobset-gpu.yaml')
    change(document['spec']['replicatedJobs'][0]['template']['spec'])
    (found,) = faults(document, _schema(document))
    assert found.endswith(fault)


def _containers(document):
    spec = document['spec']
    spec = spec['template']['spec'] if document['kind'] == 'TrainingRuntime' else spec
    pods = [job['template']['spec']['template']['spec'] for job in spec.get('replicatedJobs', ())]
    return [container for pod in pods for container in pod['containers']]


@pytest.mark.parametrize('name', FILES)
def test_their_commands_are_ours(name):
    runs = [c for document in _documents(name) for c in _containers(document) if 'args' in c]
    runs += [d['spec']['trainer'] for d in _documents(name) if d['kind'] == 'TrainJob']
    (container,) = runs
    assert container['command'] == ['panpipe', 'train']
    arguments = train.parser().parse_args(container['args'])
    assert arguments.strategy in ('multi_worker', 'tpu')


def test_pods_of_the_gpu_manifest_find_each_other():
    (document,) = _documents('jobset-gpu.yaml')
    (job,) = document['spec']['replicatedJobs']
    (container,) = _containers(document)
    told = {each['name']: each.get('value') for each in container['env']}
    assert told['PANPIPE_WORKERS'] == str(job['template']['spec']['completions'])
    name = document['metadata']['name']
    pod = {**told, 'JOBSET_NAME': name, 'JOB_COMPLETION_INDEX': '2'}
    found = workers.find(pod, f'{name}-{job["name"]}-0-2')
    assert len(found.addresses) == job['template']['spec']['parallelism']
    assert found.addresses[0] == f'{name}-workers-0-0.{name}:{container["ports"][0]["containerPort"]}'


def test_rights_are_those_that_the_step_uses():
    role, binding = _documents('rbac.yaml')
    rights = {(rule['resources'][0], verb) for rule in role['rules'] for verb in rule['verbs']}
    assert rights == {
        ('jobsets', 'create'), ('jobsets', 'get'), ('jobsets', 'delete'),
        ('pods', 'list'), ('pods/log', 'get'),
    }  # fmt: skip
    assert binding['roleRef']['name'] == role['metadata']['name']
