# SPDX-License-Identifier: Apache-2.0
"""The workers that train one network together, as TF_CONFIG, a TrainJob or a JobSet tells them."""

import dataclasses
import json
from collections.abc import Mapping
from typing import Any

from panpipe.model import errors

# Environment variable: how many pods a JobSet has, which JobSet itself does not tell them.
WORKERS = 'PANPIPE_WORKERS'
# Port of a worker where nothing else is said: that of TensorFlow's own examples.
PORT = 2222
_TRAINING = ('chief', 'worker')


@dataclasses.dataclass(frozen=True)
class Cluster:
    """Names all workers and which of them this process is.

    Attributes:
      addresses: 'HOST:PORT' of each worker; the first one is the chief, which alone writes.
      index: place of this process among them.
    """

    addresses: tuple[str, ...]
    index: int

    @property
    def is_chief(self) -> bool:
        """Whether this process writes checkpoints, summaries and evaluations."""
        return self.index == 0

    def __str__(self) -> str:
        """Tells which worker this is, as in 'worker 1 of 4 (host-1:2222)'."""
        return f'worker {self.index} of {len(self.addresses)} ({self.addresses[self.index]})'


def find(environment: Mapping[str, str], hostname: str) -> Cluster | None:
    """Reads the cluster that this process is part of; None where it trains alone.

    Args:
      environment: variables of the process. TF_CONFIG counts first, then what Kubeflow Trainer tells the pods
        of a TrainJob (PET_NNODES, PET_NODE_RANK, PET_MASTER_ADDR, PET_MASTER_PORT), then what the pods of a
        JobSet know (JOBSET_NAME, JOB_COMPLETION_INDEX and PANPIPE_WORKERS).
      hostname: of the pod.

    Raises:
      errors.InputError: the variables contradict each other, or are of another form.

    Sources: tensorflow.org, "Distributed training with TensorFlow"; Kubeflow Trainer 2.0, its torch plugin;
    JobSet 0.8, the host names of pods.
    """
    for tell in (_of_tf_config, _of_train_job, _of_job_set):
        found = tell(environment, hostname)
        if found is not None:
            return found if len(found.addresses) > 1 else None
    return None


def _of_tf_config(environment: Mapping[str, str], hostname: str) -> Cluster | None:
    del hostname
    text = environment.get('TF_CONFIG', '')
    if not text:
        return None
    try:
        told = json.loads(text)
        jobs, kind, index = told.get('cluster', {}), *_task(told.get('task', {}))
        groups = {name: tuple(map(str, jobs[name])) for name in _TRAINING if name in jobs}
    except (ValueError, TypeError, AttributeError) as error:
        raise errors.InputError(
            'TF_CONFIG is not of the form {"cluster": {"worker": ["HOST:PORT", …]}, '
            f'"task": {{"type": "worker", "index": 0}}}} ({error})'
        ) from error
    if not groups:
        return None
    if kind not in groups:
        raise errors.InputError(
            f'TF_CONFIG makes this a task of type {kind!r}, but only {" and ".join(groups)} train; start no '
            'parameter servers and evaluators (panpipe train --mode continuous_eval evaluates alone)'
        )
    before = len(groups['chief']) if kind == 'worker' and 'chief' in groups else 0
    return _checked(tuple(address for group in groups.values() for address in group), before + index)


def _task(task: Mapping[str, Any]) -> tuple[str, int]:
    return str(task.get('type', 'worker')), int(task.get('index', 0))


def _of_train_job(environment: Mapping[str, str], hostname: str) -> Cluster | None:
    del hostname
    if not {'PET_NNODES', 'PET_NODE_RANK', 'PET_MASTER_ADDR'} <= environment.keys():
        return None
    number, index = _number(environment, 'PET_NNODES'), _number(environment, 'PET_NODE_RANK')
    first, dot, domain = environment['PET_MASTER_ADDR'].partition('.')
    port = environment.get('PET_MASTER_PORT', str(PORT))
    return _pods(first.removesuffix('-0'), dot + domain, port, number, index)


def _of_job_set(environment: Mapping[str, str], hostname: str) -> Cluster | None:
    if WORKERS not in environment:
        return None
    missing = [name for name in ('JOBSET_NAME', 'JOB_COMPLETION_INDEX') if name not in environment]
    if missing:
        raise errors.InputError(
            f'{WORKERS} is set, but {" and ".join(missing)} is not; let the pod have the variables of '
            'manifests/jobset-gpu.yaml, in an Indexed job'
        )
    number, index = _number(environment, WORKERS), _number(environment, 'JOB_COMPLETION_INDEX')
    stem = hostname.partition('.')[0].removesuffix(f'-{index}')
    return _pods(stem, f'.{environment["JOBSET_NAME"]}', str(PORT), number, index)


def _pods(stem: str, domain: str, port: str, number: int, index: int) -> Cluster:
    """Names the pods of an Indexed job: the host name of each ends with its index."""
    return _checked(tuple(f'{stem}-{pod}{domain}:{port}' for pod in range(number)), index)


def _checked(addresses: tuple[str, ...], index: int) -> Cluster:
    if not 0 <= index < len(addresses):
        raise errors.InputError(
            f'this process is told to be worker {index}, but there are {len(addresses)} workers; indices '
            'begin at 0'
        )
    return Cluster(addresses, index)


def _number(environment: Mapping[str, str], name: str) -> int:
    text = environment[name]
    if not text.isdecimal():
        raise errors.InputError(f'{name} is {text!r}; it has to be a number')
    return int(text)
