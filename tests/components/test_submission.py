# SPDX-License-Identifier: Apache-2.0
import http.server
import json
import threading

import pytest

from panpipe.components import compilation, experiment, steps, submission, workflow
from panpipe.model import errors

PREFIX = '/apis/v2beta1'
IMAGE = 'registry.example/panpipe:1'


class Kubeflow(http.server.BaseHTTPRequestHandler):
    """Answers the few calls of the REST interface that starting a run makes, and keeps what it was sent."""

    def do_GET(self):
        if self.path.startswith(f'{PREFIX}/healthz'):
            self._answer(200, {'multi_user': False})
        elif self.path.startswith(f'{PREFIX}/experiments'):
            self._answer(200, {'experiments': []})
        else:
            self._answer(404, {'message': self.path})

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers['Content-Length'])))
        self.server.posted.append((self.path, body))
        if self.server.refusal:
            self._answer(400, {'message': self.server.refusal})
        elif self.path.startswith(f'{PREFIX}/experiments'):
            self._answer(200, {'experiment_id': 'e1', 'display_name': body['display_name']})
        else:
            self._answer(200, {'run_id': 'r1', 'experiment_id': 'e1', 'state': 'PENDING'})

    def log_message(self, *_):
        pass

    def _answer(self, status, content):
        data = json.dumps(content).encode()
        self.send_response(status)
        self.send_header('Content-Type', 'application/json')
        self.send_header('Content-Length', str(len(data)))
        self.end_headers()
        self.wfile.write(data)


@pytest.fixture
def server(monkeypatch, tmp_path):
    monkeypatch.setenv('HOME', str(tmp_path))
    for name in ('http_proxy', 'HTTP_PROXY', 'all_proxy', 'ALL_PROXY'):
        monkeypatch.delenv(name, raising=False)
    made = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Kubeflow)
    made.posted, made.refusal = [], ''
    thread = threading.Thread(target=made.serve_forever)
    thread.start()
    yield made
    made.shutdown()
    thread.join()
    made.server_close()


FIELD = 'trainer_options.steps_per_loop=10'


def _submit(server, *more):
    endpoint = f'http://127.0.0.1:{server.server_port}'
    image = [] if '--pipeline' in more else ['--image', IMAGE]
    return workflow.main(['submit', '--endpoint', endpoint, '--experiment', 'trials', *image, *more])


def test_a_run_is_started_with_pipeline_and_parameters(server, capsys):
    assert _submit(server, '--run_name', 'first', 'toy_images=3', f'overrides=["{FIELD}"]') == 0
    assert capsys.readouterr().out.strip().endswith('/#/runs/details/r1')
    (_, experiment), (path, run) = server.posted
    assert experiment['display_name'] == 'trials'
    assert path.startswith(f'{PREFIX}/runs')
    assert run['display_name'] == 'first'
    spec = run['pipeline_spec']['pipeline_spec']
    assert spec['pipelineInfo']['name'] == 'panpipe'
    images = {e['container']['image'] for e in spec['deploymentSpec']['executors'].values()}
    assert images == {IMAGE}
    parameters = run['runtime_config']['parameters']
    assert parameters['toy_images'] == 3
    assert parameters['overrides'] == [FIELD]
    assert 'mobilenet_v3_small' in parameters['config']


def test_a_compiled_file_is_submitted_with_its_kubernetes_settings(server, tmp_path):
    path = tmp_path / 'pipeline.yaml'
    given = ['--accelerator', 'nvidia.com/gpu=1', '--volume', 'data=/data', '--image', IMAGE]
    assert workflow.main(['compile', '--output', str(path), *given]) == 0
    assert _submit(server, '--pipeline', str(path)) == 0
    spec = server.posted[-1][1]['pipeline_spec']
    assert set(spec) == {'pipeline_spec', 'platform_spec'}


def _tasks(spec):
    dags = [part['dag'] for part in (spec['root'], *spec['components'].values()) if 'dag' in part]
    return {name: task for dag in dags for name, task in dag['tasks'].items()}


@pytest.mark.parametrize('compiled', [False, True])
def test_an_image_that_no_cluster_can_pull_is_refused(compiled, server, tmp_path, capsys):
    path = tmp_path / 'pipeline.yaml'
    assert workflow.main(['compile', '--output', str(path)]) == 0
    endpoint = f'http://127.0.0.1:{server.server_port}'
    more = ['--pipeline', str(path)] if compiled else []
    assert workflow.main(['submit', '--endpoint', endpoint, *more]) == 2
    error = capsys.readouterr().err
    assert steps.IMAGE in error
    assert '--image REGISTRY/panpipe:TAG' in error
    assert not server.posted
    assert workflow.main(['submit', '--endpoint', endpoint, '--image', IMAGE, *more]) == 0
    assert IMAGE in json.dumps(server.posted[-1][1])
    assert steps.IMAGE not in json.dumps(server.posted[-1][1])


def test_no_cache_reaches_every_step(server):
    assert _submit(server, '--no_cache') == 0
    spec = server.posted[-1][1]['pipeline_spec']['pipeline_spec']
    assert len(_tasks(spec)) > 10
    assert not any(task.get('cachingOptions', {}).get('enableCache') for task in _tasks(spec).values())


def test_the_service_account_is_the_runs(server):
    assert _submit(server, '--service_account', 'trainer') == 0
    assert server.posted[-1][1]['service_account'] == 'trainer'


def test_the_configuration_is_what_a_shell_would_pass(server, tmp_path):
    """`config="$(cat FILE)"` loses the newline at the end, and the cache goes by the text."""
    path = tmp_path / 'c.textproto'
    path.write_text(experiment.source('toy/cityscapes_mobilenet_v3_small') + '\n\n')
    assert _submit(server, '--config', str(path)) == 0
    sent = server.posted[-1][1]['runtime_config']['parameters']['config']
    assert sent == path.read_text().rstrip('\n')


def test_a_refusal_is_one_line_and_status_2(server, capsys):
    server.refusal = 'no quota'
    assert _submit(server) == 2
    error = capsys.readouterr().err
    assert 'answers 400' in error
    assert 'no quota' in error
    assert error.count('\n') == 1


def test_silence_at_the_endpoint_is_one_line_and_status_2(server, capsys):
    assert workflow.main(['submit', '--endpoint', 'http://127.0.0.1:9', '--image', IMAGE]) == 2
    error = capsys.readouterr().err
    assert 'check --endpoint' in error
    assert error.count('\n') == 1


@pytest.mark.parametrize(
    ('entry', 'words'),
    [
        ('toy_image=3', "did you mean 'toy_images'"),
        ('toy_images=many', 'is not a NUMBER_INTEGER'),
        ('toy_images', 'write NAME=VALUE'),
    ],
)
def test_wrong_parameters_are_refused(entry, words):
    with pytest.raises(errors.InputError, match=words):
        submission.parameters(compilation.compiled(compilation.Cluster()), [entry])
