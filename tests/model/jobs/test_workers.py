# SPDX-License-Identifier: Apache-2.0
import json

import pytest

from panpipe.model import errors
from panpipe.model.jobs import workers

JOB_SET = {'JOBSET_NAME': 'street', 'PANPIPE_WORKERS': '3'}
TRAIN_JOB = {
    'PET_NNODES': '2',
    'PET_NPROC_PER_NODE': 'auto',
    'PET_NODE_RANK': '1',
    'PET_MASTER_ADDR': 'street-node-0-0.street',
    'PET_MASTER_PORT': '29500',
}


def _tf_config(kind, index, **jobs):
    return {'TF_CONFIG': json.dumps({'cluster': jobs, 'task': {'type': kind, 'index': index}})}


def _found(environment, hostname='host'):
    return workers.find(environment, hostname)


def test_alone_where_nothing_is_told():
    assert _found({}) is None
    assert _found({'JOB_COMPLETION_INDEX': '3'}) is None  # of any Indexed job
    assert _found({'TF_CONFIG': '{}'}) is None
    assert _found(_tf_config('worker', 0, worker=['a:1'])) is None
    assert _found({**TRAIN_JOB, 'PET_NNODES': '1', 'PET_NODE_RANK': '0'}) is None
    assert _found({**JOB_SET, 'PANPIPE_WORKERS': '1', 'JOB_COMPLETION_INDEX': '0'}) is None


def test_tf_config():
    assert _found(_tf_config('worker', 1, worker=['a:1', 'b:2'])) == workers.Cluster(('a:1', 'b:2'), 1)
    assert _found(_tf_config('worker', 0, chief=['c:1'], worker=['a:1'])).index == 1
    chief = _found(_tf_config('chief', 0, worker=['a:1'], chief=['c:1'], ps=['p:1']))
    assert chief == workers.Cluster(('c:1', 'a:1'), 0)
    assert chief.is_chief


@pytest.mark.parametrize('index', range(3))
def test_pods_of_a_job_set(index):
    found = _found({**JOB_SET, 'JOB_COMPLETION_INDEX': str(index)}, f'street-workers-0-{index}')
    assert found.index == index
    assert found.addresses == tuple(f'street-workers-0-{pod}.street:2222' for pod in range(3))
    assert found.is_chief == (index == 0)


def test_nodes_of_a_train_job():
    found = _found(TRAIN_JOB)
    assert found == workers.Cluster(('street-node-0-0.street:29500', 'street-node-0-1.street:29500'), 1)


def test_tf_config_counts_before_what_kubernetes_says():
    both = {**TRAIN_JOB, **_tf_config('worker', 0, worker=['a:1', 'b:2'])}
    assert _found(both).addresses == ('a:1', 'b:2')


@pytest.mark.parametrize(
    ('environment', 'reason'),
    [
        ({'TF_CONFIG': 'worker'}, 'TF_CONFIG is not of the form'),
        ({'TF_CONFIG': '[]'}, 'TF_CONFIG is not of the form'),
        ({'TF_CONFIG': '{"cluster": {"worker": 3}}'}, 'TF_CONFIG is not of the form'),
        (_tf_config('worker', 2, worker=['a:1', 'b:2']), 'worker 2, but there are 2 workers'),
        (_tf_config('evaluator', 0, worker=['a:1', 'b:2']), "type 'evaluator', but only worker train"),
        ({**TRAIN_JOB, 'PET_NNODES': '1:2'}, "PET_NNODES is '1:2'; it has to be a number"),
        (JOB_SET, 'PANPIPE_WORKERS is set, but JOB_COMPLETION_INDEX is not'),
    ],
)
def test_what_contradicts_itself_is_told_in_one_line(environment, reason):
    with pytest.raises(errors.InputError, match=reason) as caught:
        _found(environment)
    assert '\n' not in str(caught.value)
