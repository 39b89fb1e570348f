# SPDX-License-Identifier: Apache-2.0
"""Describes the training of one network on several pods, as a JobSet of Kubernetes."""

import json
import os
from collections.abc import Mapping, Sequence
from typing import Any

from panpipe.components import profiles
from panpipe.model import errors
from panpipe.model.jobs import workers

# Environment variable of the step that creates a JobSet: the description, without name and command.
VARIABLE = 'PANPIPE_JOBSET'
GROUP, VERSION, PLURAL = 'jobset.x-k8s.io', 'v1alpha2', 'jobsets'
NAME_LABEL = 'jobset.sigs.k8s.io/jobset-name'
CONTAINER = 'train'
_RESTARTS = 10  # of all pods together, after one was lost
_MISTAKE = 2  # exit status: to start again would not help
_SECONDS_TO_SAVE = 30  # from SIGTERM to SIGKILL


def template(
    image: str,
    number: int,
    needs: profiles.Needs,
    volumes: Mapping[str, str],
    secret_env: Mapping[tuple[str, str], str],
    secret_volumes: Mapping[str, str],
) -> dict[str, Any]:
    """Describes the pods of a training, without a name and without what they run.

    Args:
      image: of the pods.
      number: of pods.
      needs: of each pod.
      volumes: persistent volume claim → folder; every pod mounts it.
      secret_env: (secret, key) → environment variable.
      secret_volumes: secret → folder.

    Raises:
      errors.InputError: they would train on TPUs.
    """
    if 'tpu' in needs.accelerator:
        raise errors.InputError(
            f'--train_workers is for GPUs and processors, but train asks for {needs.accelerator}; one TPU '
            'host trains alone'
        )
    mounts = [*_claims(volumes), *_secrets(secret_volumes), *_shared_memory(needs.shm)]
    container = {
        'name': CONTAINER,
        'image': image,
        'env': [*_identity(number), *(_secret(*entry) for entry in secret_env.items())],
        'ports': [{'containerPort': workers.PORT}],
        'resources': _resources(needs),
        'volumeMounts': [{'name': volume['name'], 'mountPath': folder} for volume, folder in mounts],
    }
    pod = {
        'restartPolicy': 'Never',
        'terminationGracePeriodSeconds': _SECONDS_TO_SAVE,
        'containers': [container],
        'nodeSelector': dict(needs.node_selector),
        'tolerations': [profiles.toleration(taint) for taint in needs.tolerations],
        'volumes': [volume for volume, _ in mounts],
    }
    return _job_set(number, {key: value for key, value in pod.items() if value})


def complete(described: Mapping[str, Any], name: str, command: Sequence[str]) -> dict[str, Any]:
    """Gives a described JobSet its name and what its pods run."""
    made: dict[str, Any] = json.loads(json.dumps(described))
    made['metadata'] = {**made.get('metadata', {}), 'name': name, **_owner(os.environ)}
    (job,) = made['spec']['replicatedJobs']
    (container,) = job['template']['spec']['template']['spec']['containers']
    container['command'] = list(command)
    return made


def _job_set(number: int, pod: Mapping[str, Any]) -> dict[str, Any]:
    on_mistake = {'onExitCodes': {'operator': 'In', 'values': [_MISTAKE]}, 'action': 'FailJob'}
    job = {
        'completionMode': 'Indexed',
        'completions': number,
        'parallelism': number,
        'backoffLimit': 0,
        'podFailurePolicy': {'rules': [on_mistake]},
        'template': {'spec': dict(pod)},
    }
    rule = {'name': 'mistake', 'action': 'FailJobSet', 'onJobFailureReasons': ['PodFailurePolicy']}
    return {
        'apiVersion': f'{GROUP}/{VERSION}',
        'kind': 'JobSet',
        'spec': {
            'network': {'enableDNSHostnames': True, 'publishNotReadyAddresses': True},
            'failurePolicy': {'maxRestarts': _RESTARTS, 'rules': [rule]},
            'replicatedJobs': [{'name': 'workers', 'replicas': 1, 'template': {'spec': job}}],
        },
    }


def _identity(number: int) -> list[dict[str, Any]]:
    """Lists what tells a pod which worker it is; Kubernetes adds JOB_COMPLETION_INDEX."""
    field = {'fieldRef': {'fieldPath': f"metadata.labels['{NAME_LABEL}']"}}
    return [{'name': workers.WORKERS, 'value': str(number)}, {'name': 'JOBSET_NAME', 'valueFrom': field}]


def _secret(source: tuple[str, str], variable: str) -> dict[str, Any]:
    secret, key = source
    return {'name': variable, 'valueFrom': {'secretKeyRef': {'name': secret, 'key': key}}}


def _resources(needs: profiles.Needs) -> dict[str, Any]:
    accelerators = {needs.accelerator: needs.accelerators} if needs.accelerator else {}
    requests = {'cpu': needs.cpu, 'memory': needs.memory}
    limits = {'cpu': needs.cpu_limit, 'memory': needs.memory_limit, **accelerators}
    both: dict[str, dict[str, Any]] = {'requests': requests, 'limits': limits}
    asked = {name: {key: value for key, value in each.items() if value} for name, each in both.items()}
    return {name: each for name, each in asked.items() if each}


def _claims(volumes: Mapping[str, str]) -> list[tuple[dict[str, Any], str]]:
    return [
        ({'name': claim, 'persistentVolumeClaim': {'claimName': claim}}, folder)
        for claim, folder in volumes.items()
    ]


def _secrets(volumes: Mapping[str, str]) -> list[tuple[dict[str, Any], str]]:
    return [
        ({'name': f'secret-{secret}', 'secret': {'secretName': secret}}, folder)
        for secret, folder in volumes.items()
    ]


def _shared_memory(size: str) -> list[tuple[dict[str, Any], str]]:
    volume = {'name': 'shm', 'emptyDir': {'medium': 'Memory', 'sizeLimit': size}}
    return [(volume, profiles.SHARED_MEMORY)] if size else []


def _owner(environment: Mapping[str, str]) -> dict[str, Any]:
    """Makes the JobSet go when the step's pod goes, where Kubeflow tells which pod that is."""
    name, uid = environment.get('KFP_POD_NAME', ''), environment.get('KFP_POD_UID', '')
    if not (name and uid):
        return {}
    return {'ownerReferences': [{'apiVersion': 'v1', 'kind': 'Pod', 'name': name, 'uid': uid}]}
