# SPDX-License-Identifier: Apache-2.0
"""Pods that train together are created, followed and removed: the real client against a small API server."""

import datetime
import http.server
import json
import re
import threading
import urllib.parse

import pytest
import yaml

import http_server
from panpipe.components import compilation, following, jobset, profiles, workflow
from panpipe.model import errors

_JOB_SETS = '/apis/jobset.x-k8s.io/v1alpha2/namespaces/vision/jobsets'
_PODS = '/api/v1/namespaces/vision/pods'
ARGUMENTS = ['--config', '/data/model-1a2b/experiment.textproto', '--model_dir', '/data/model-1a2b']
GOOD = ['train: 1/2  loss 3', 'train: 2/2  loss 2']
LOST = ['train: 1/2  loss 3', 'panpipe train: error: worker 0 of 2 (a:1) lost another worker (gone)']
WRONG = ['panpipe train: error: train_dataset_options.batch_size is 3']


class Cluster(http_server.Handler):
    """Answers as Kubernetes does to those who create, watch and delete one JobSet."""

    def do_POST(self):  # noqa: N802 (called by http.server)
        body = json.loads(self.body())
        if self.server.refusal:
            self._json(self.server.refusal, {'message': 'no'})
        elif self.server.job_set is not None:
            self._json(409, {'reason': 'AlreadyExists'})
        else:
            assert self.path == _JOB_SETS
            self.server.created.append(body)
            self.server.job_set = body
            self._json(201, body)

    def do_GET(self):  # noqa: N802
        path, query = urllib.parse.urlsplit(self.path)[2:4]
        if path.startswith(f'{_JOB_SETS}/'):
            self._look()
        elif path == _PODS:
            self.server.selectors.add(urllib.parse.parse_qs(query)['labelSelector'][0])
            self._json(200, {'kind': 'PodList', 'items': [_pod(*pod) for pod in self.server.pods[:1]]})
        else:
            name = re.fullmatch(rf'{_PODS}/(.*)/log', path)[1]
            (lines,) = [lines for pod, _, lines in self.server.pods if pod == name]
            self.answer(200, [('Content-Type', 'text/plain')], _stamped(lines))

    def do_DELETE(self):  # noqa: N802
        self.server.deleted.append(self.path)
        self.server.job_set = None
        self._json(200, {})

    def _look(self):
        """Each look finds the next pod, and at last the end."""
        if self.server.job_set is None:
            self._json(404, {'reason': 'NotFound'})
            return
        self.server.looks += 1
        if self.server.looks > 1 and len(self.server.pods) > 1:
            self.server.pods.pop(0)
        is_over = self.server.looks > 1 and len(self.server.pods) == 1
        state = {'terminalState': self.server.end} if is_over else {}
        self._json(200, {**self.server.job_set, 'status': state})

    def _json(self, status, content):
        self.answer(status, [('Content-Type', 'application/json')], json.dumps(content).encode())


def _pod(name, status, lines):
    del lines
    state = {'terminated': {'exitCode': status, 'reason': 'x'}}
    container = {
        'name': 'train',
        'image': 'x',
        'imageID': 'x',
        'ready': False,
        'restartCount': 0,
        'state': state,
    }
    phase = 'Failed' if status else 'Succeeded'
    return {'metadata': {'name': name}, 'status': {'phase': phase, 'containerStatuses': [container]}}


def _stamped(lines):
    start = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
    stamps = [(start + datetime.timedelta(seconds=n)).isoformat() for n in range(len(lines))]
    return ''.join(f'{stamp} {line}\n' for stamp, line in zip(stamps, lines, strict=True)).encode()


@pytest.fixture
def cluster(tmp_path, monkeypatch):
    server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Cluster)
    server.created, server.deleted, server.selectors, server.looks = [], [], set(), 0
    server.job_set, server.refusal, server.pods, server.end = None, 0, [('first', 0, GOOD)], 'Completed'
    address = f'http://127.0.0.1:{server.server_address[1]}'
    kube = {
        'current-context': 'here',
        'contexts': [{'name': 'here', 'context': {'cluster': 'c', 'user': 'u', 'namespace': 'vision'}}],
        'clusters': [{'name': 'c', 'cluster': {'server': address}}],
        'users': [{'name': 'u', 'user': {}}],
    }
    path = tmp_path / 'kubeconfig'
    path.write_text(yaml.safe_dump(kube))
    monkeypatch.setenv('KUBECONFIG', str(path))
    for name in ('HTTP_PROXY', 'http_proxy', 'ALL_PROXY', 'all_proxy'):
        monkeypatch.delenv(name, raising=False)
    needs = profiles.needs(profiles.table('gpu'), 'train')
    described = jobset.template('registry.example/panpipe:1', 2, needs, {'data': '/data'}, {}, {})
    monkeypatch.setenv(jobset.VARIABLE, json.dumps(described))
    monkeypatch.setattr(following, '_SECONDS', 0.01)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def _train():
    following.train('/data/model-1a2b', '/data', ARGUMENTS)


def test_a_job_set_is_created_followed_and_removed(cluster, capsys):
    _train()
    (made,) = cluster.created
    assert made['metadata']['name'] == 'panpipe-model-1a2b'
    job = made['spec']['replicatedJobs'][0]['template']['spec']
    (container,) = job['template']['spec']['containers']
    assert container['command'] == ['panpipe', 'train', *ARGUMENTS, '--strategy', 'multi_worker']
    assert cluster.deleted == [f'{_JOB_SETS}/panpipe-model-1a2b?propagationPolicy=Foreground']
    assert capsys.readouterr().err.splitlines() == GOOD
    (selector,) = cluster.selectors
    assert 'jobset.sigs.k8s.io/jobset-name=panpipe-model-1a2b' in selector
    assert 'job-completion-index=0' in selector


def test_pods_that_start_again_are_followed_too(cluster, capsys):
    cluster.pods = [('first', 1, LOST), ('second', 0, GOOD)]
    _train()
    assert capsys.readouterr().err.splitlines() == [*LOST, *GOOD]


def test_a_failed_training_is_told_by_its_own_line(cluster):
    cluster.pods, cluster.end = [('first', 1, LOST)], 'Failed'
    with pytest.raises(
        errors.JobError, match='the JobSet panpipe-model-1a2b failed: worker 0 of 2'
    ) as caught:
        _train()
    assert not isinstance(caught.value, errors.InputError)
    assert cluster.deleted


def test_a_mistake_stays_a_mistake(cluster):
    cluster.pods, cluster.end = [('first', 2, WRONG)], 'Failed'
    with pytest.raises(errors.InputError, match='batch_size is 3'):
        _train()
    assert cluster.deleted


def test_what_an_earlier_attempt_created_is_followed(cluster, capsys):
    cluster.job_set = {'metadata': {'name': 'panpipe-model-1a2b'}}
    _train()
    assert not cluster.created
    told = capsys.readouterr()
    assert 'goes on with the JobSet' in told.out
    assert told.err.splitlines() == GOOD


@pytest.mark.parametrize(
    ('status', 'reason'), [(403, 'needs the right to create JobSets'), (422, 'refuses the')]
)
def test_a_refusal_is_one_line(cluster, status, reason):
    cluster.refusal = status
    with pytest.raises(errors.InputError, match=reason):
        _train()


def test_without_a_place_that_all_reach_nothing_is_created(cluster):
    with pytest.raises(errors.InputError, match='need the parameter work'):
        following.train('/tmp/artifact', '', ARGUMENTS)
    assert not cluster.created


def test_the_step_creates_what_was_compiled(monkeypatch):
    needs = profiles.table('gpu')
    made = compilation.Cluster(image='r/p:1', needs=needs, volumes={'data': '/data'}, train_workers=3)
    document, platform = yaml.safe_load_all(compilation.compiled(made))
    container = document['deploymentSpec']['executors']['exec-train']['container']
    assert 'accelerator' not in container['resources']
    (variable,) = [each for each in container['env'] if each['name'] == jobset.VARIABLE]
    described = json.loads(variable['value'])
    job = described['spec']['replicatedJobs'][0]['template']['spec']
    assert (job['completions'], job['parallelism'], job['completionMode']) == (3, 3, 'Indexed')
    (pod,) = job['template']['spec']['containers']
    assert pod['image'] == 'r/p:1'
    assert pod['resources']['limits']['nvidia.com/gpu'] == 1
    assert {'name': 'PANPIPE_WORKERS', 'value': '3'} in pod['env']
    assert {'name': 'data', 'mountPath': '/data'} in pod['volumeMounts']
    del platform
    other = document['deploymentSpec']['executors']['exec-evaluate']['container']
    assert 'env' not in other


def test_a_run_without_a_shared_place_is_refused_before_it_starts(capsys):
    options = ['--image=r.example/p:1', '--train_workers=2']
    assert workflow.main(['check', *options, 'dataset=cityscapes_panoptic']) == 2
    assert '--train_workers needs the parameter work' in capsys.readouterr().err


def test_one_worker_is_no_team(capsys):
    assert workflow.main(['check', '--image=r.example/p:1', '--train_workers=1']) == 2
    assert '--train_workers 1: give 2 or more' in capsys.readouterr().err


def test_pods_go_with_the_pod_of_the_step(monkeypatch):
    monkeypatch.setenv('KFP_POD_NAME', 'run-1-train')
    monkeypatch.setenv('KFP_POD_UID', 'u1')
    described = jobset.template('r/p:1', 2, profiles.Needs(), {}, {}, {})
    owner = jobset.complete(described, 'x', ['true'])['metadata']['ownerReferences']
    assert owner == [{'apiVersion': 'v1', 'kind': 'Pod', 'name': 'run-1-train', 'uid': 'u1'}]


def test_tpus_are_refused():
    with pytest.raises(errors.InputError, match=r'train asks for google\.com/tpu'):
        jobset.template('r/p:1', 2, profiles.Needs(accelerator='google.com/tpu'), {}, {}, {})
