# SPDX-License-Identifier: Apache-2.0
"""Runs a JobSet to its end: creates it, passes on what its first pod says, and removes it."""

import contextlib
import json
import os
import pathlib
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import kubernetes
import urllib3

from panpipe.components import jobset
from panpipe.model import errors
from panpipe.model.storage import addresses

_SECONDS = 5.0  # between two looks
_NAMESPACE = pathlib.Path('/var/run/secrets/kubernetes.io/serviceaccount/namespace')
_FIRST = 'batch.kubernetes.io/job-completion-index=0'
_CONFLICT, _NOT_FOUND = 409, 404
_MISTAKE = 2


def is_asked() -> bool:
    """Returns whether this step is to have pods train, as `workflow compile --train_workers` sets it."""
    return jobset.VARIABLE in os.environ


def train(folder: str, work: str, arguments: Sequence[str]) -> None:
    """Has pods train together, and follows them.

    Args:
      folder: of the models; its name becomes that of the JobSet.
      work: address under which the folder lies.
      arguments: of `panpipe train`, but for the strategy.

    Raises:
      errors.InputError: there is no `work`, which all pods reach; and as `run`.
      errors.JobError: as `run`.
    """
    if not work:
        raise errors.InputError(
            'pods that train together need the parameter work: a folder of a volume that all of them mount, '
            'or an address'
        )
    command = ['panpipe', 'train', *arguments, '--strategy', 'multi_worker']
    name = f'panpipe-{addresses.name(folder)}'
    run(jobset.complete(json.loads(os.environ[jobset.VARIABLE]), name, command))


def run(described: Mapping[str, Any], seconds: float = _SECONDS) -> None:
    """Creates a JobSet, follows it and removes it, however this ends.

    A JobSet of the same name that is there already is taken over: an earlier attempt made it.

    Args:
      described: the complete JobSet.
      seconds: between two looks at its state.

    Raises:
      errors.InputError: a pod ended with the status of a user's mistake, or the cluster refuses the JobSet.
      errors.JobError: the JobSet failed otherwise.
    """
    job_set = _JobSet(described, seconds)
    job_set.create()
    try:
        state = job_set.follow()
        if state != 'Completed':
            job_set.tell_failure()
    finally:
        job_set.delete()


class _JobSet:
    """One JobSet of a cluster, and what was seen of it."""

    def __init__(self, described: Mapping[str, Any], seconds: float) -> None:
        self._described, self._seconds = described, seconds
        self._name, self._namespace = described['metadata']['name'], _connect()
        self._kind = (jobset.GROUP, jobset.VERSION, self._namespace, jobset.PLURAL)
        self._objects, self._pods = kubernetes.client.CustomObjectsApi(), kubernetes.client.CoreV1Api()
        self._said: dict[str, str] = {}  # pod → time stamp of its last line that was passed on
        self._line = ''  # the last line that told of an error
        self._statuses: list[int] = []

    def create(self) -> None:
        """Creates it, or takes over one of that name."""
        while True:
            try:
                with _explained('create JobSets (manifests/rbac.yaml)'):
                    self._objects.create_namespaced_custom_object(*self._kind, dict(self._described))
                print(f'panpipe train: created the JobSet {self._name} in {self._namespace}')
                return
            except kubernetes.client.ApiException as error:
                if error.status != _CONFLICT:
                    raise
            found = self._look()
            if found is not None and 'deletionTimestamp' not in found['metadata']:
                print(
                    f'panpipe train: goes on with the JobSet {self._name}, which an earlier attempt created'
                )
                return
            time.sleep(self._seconds)  # until it is gone

    def follow(self) -> str:
        """Passes on the log of the first pod, of each attempt at it; returns the final state."""
        while True:
            found = self._look()
            if found is None:
                raise errors.JobError(f'the JobSet {self._name} was deleted')
            for pod in self._first_pods():
                self._pass_on(pod)
            state = str(found.get('status', {}).get('terminalState', ''))
            if state:
                return state
            time.sleep(self._seconds)

    def tell_failure(self) -> None:
        """Raises what the training's own line said."""
        line = (
            self._line.partition(': error: ')[2] or 'no line of an error was seen in the log of the first pod'
        )
        told = f'the JobSet {self._name} failed: {line}'
        raise (errors.InputError if _MISTAKE in self._statuses else errors.JobError)(told)

    def delete(self) -> None:
        """Removes it and its pods."""
        with contextlib.suppress(kubernetes.client.ApiException):  # it may be gone
            self._objects.delete_namespaced_custom_object(
                *self._kind, self._name, propagation_policy='Foreground'
            )

    def _look(self) -> dict[str, Any] | None:
        try:
            with _explained('get JobSets (manifests/rbac.yaml)'):
                found: dict[str, Any] = self._objects.get_namespaced_custom_object(*self._kind, self._name)
                return found
        except kubernetes.client.ApiException as error:
            if error.status == _NOT_FOUND:
                return None
            raise

    def _first_pods(self) -> list[Any]:
        selector = f'{jobset.NAME_LABEL}={self._name},{_FIRST}'
        with _explained('list pods (manifests/rbac.yaml)'):
            found = self._pods.list_namespaced_pod(self._namespace, label_selector=selector).items
        for pod in found:
            for container in pod.status.container_statuses or ():
                if container.state.terminated:
                    self._statuses.append(container.state.terminated.exit_code)
        return [pod for pod in found if pod.status.phase in ('Running', 'Succeeded', 'Failed')]

    def _pass_on(self, pod: Any) -> None:
        """Prints what a pod said since the last look, and what it says until its end."""
        name = pod.metadata.name
        seen = self._said.get(name, '')
        options = {'container': jobset.CONTAINER, 'timestamps': True, '_preload_content': False}
        try:
            answer = self._pods.read_namespaced_pod_log(name, self._namespace, follow=True, **options)
            for line in _lines(answer):
                stamp, _, text = line.partition(' ')
                if stamp > seen:
                    self._said[name] = stamp
                    self._line = text if text.startswith('panpipe train: error: ') else self._line
                    print(text, file=sys.stderr, flush=True)
        except (kubernetes.client.ApiException, urllib3.exceptions.HTTPError):
            return  # the pod went meanwhile, or the line broke: the next look goes on after the last line


def _lines(answer: Any) -> Iterator[str]:
    rest = b''
    for part in answer.stream():
        *lines, rest = (rest + part).split(b'\n')
        yield from (line.decode(errors='replace') for line in lines)
    if rest:
        yield rest.decode(errors='replace')


@contextlib.contextmanager
def _explained(right: str) -> Iterator[None]:
    """Turns a refusal by the cluster into one line."""
    try:
        yield
    except kubernetes.client.ApiException as error:
        if error.status == 403:
            raise errors.InputError(
                f'the cluster refuses: the service account needs the right to {right}'
            ) from error
        if error.status in (400, 422):
            raise errors.InputError(f'the cluster refuses the JobSet: {error.body}') from error
        raise
    except urllib3.exceptions.HTTPError as error:
        raise errors.JobError(f'the cluster does not answer ({type(error).__name__})') from error


def _connect() -> str:
    """Finds the cluster, this pod's own or that of the current context; returns the namespace there."""
    try:
        if _NAMESPACE.is_file():
            kubernetes.config.load_incluster_config()
            return _NAMESPACE.read_text().strip()
        path = os.environ.get('KUBECONFIG')
        kubernetes.config.load_kube_config(path)
        _, active = kubernetes.config.list_kube_config_contexts(path)
        return str(active['context'].get('namespace', 'default'))
    except kubernetes.config.ConfigException as error:
        raise errors.InputError(f'no Kubernetes cluster is configured here: {error}') from error
