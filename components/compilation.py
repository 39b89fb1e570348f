# SPDX-License-Identifier: Apache-2.0
"""Compiles the pipeline for a cluster: resources of each step, images, volumes, secrets."""

import dataclasses
import json
import os
import pathlib
import tempfile
from collections.abc import Mapping
from typing import Any

from kfp import compiler, kubernetes

from panpipe.components import jobset, notes, pipeline, profiles, steps

# Half a minute, then a minute: what preemption and a flaky network need.
_RETRIES, _BACKOFF, _BACKOFF_FACTOR = 2, '30s', 2.0
# Argo labels the pods of a run with the name of its workflow.
_RUN_LABEL = "metadata.labels['workflows.argoproj.io/workflow']"
# Of a step that only follows the pods that train.
_FOLLOWER = profiles.Needs(cpu='100m', memory='500Mi', memory_limit='2Gi')


@dataclasses.dataclass(frozen=True)
class Cluster:
    """Holds the cluster settings of all steps; the defaults request nothing.

    Attributes:
      image: container image of every step; it holds panpipe and kfp.
      needs: of the steps, a profile.
      volumes: persistent volume claim → folder where every step sees it.
      secret_env: (secret, key) → environment variable of every step.
      secret_volumes: secret → folder where every step sees its files.
      has_summary: whether a last task, an exit handler, summarizes the run.
      train_workers: pods that train together, beside the step that follows them; 0: the step trains.
    """

    image: str = steps.IMAGE
    needs: profiles.Table = dataclasses.field(default_factory=dict)
    volumes: Mapping[str, str] = dataclasses.field(default_factory=dict)
    secret_env: Mapping[tuple[str, str], str] = dataclasses.field(default_factory=dict)
    secret_volumes: Mapping[str, str] = dataclasses.field(default_factory=dict)
    has_summary: bool = True
    train_workers: int = 0


def compiled(cluster: Cluster) -> str:
    """Compiles the pipeline to YAML; Kubernetes settings are a second document."""

    def place(task: Any) -> None:
        _common(task, cluster)
        needs = profiles.needs(cluster.needs, task.name)
        if cluster.train_workers and task.name == 'train':
            task.set_env_variable(jobset.VARIABLE, _workers(cluster, needs))
            needs = _FOLLOWER
        _ask(task, needs)

    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, 'pipeline.yaml')
        compiler.Compiler().compile(pipeline.define(place, cluster.has_summary), path)
        return pathlib.Path(path).read_text()


def _common(task: Any, cluster: Cluster) -> None:
    """Sets what all steps share."""
    task.set_container_image(cluster.image)
    task.set_caching_options(task.name not in pipeline.UNCACHED)
    task.set_retry(_RETRIES, backoff_duration=_BACKOFF, backoff_factor=_BACKOFF_FACTOR)
    kubernetes.use_field_path_as_env(task, notes.VARIABLE, _RUN_LABEL)
    for claim, folder in cluster.volumes.items():
        kubernetes.mount_pvc(task, pvc_name=claim, mount_path=folder)
    for (secret, key), variable in cluster.secret_env.items():
        kubernetes.use_secret_as_env(task, secret, {key: variable})
    for secret, folder in cluster.secret_volumes.items():
        kubernetes.use_secret_as_volume(task, secret, folder)


def _workers(cluster: Cluster, needs: profiles.Needs) -> str:
    """Describes the pods that train, as text."""
    described = jobset.template(
        cluster.image,
        cluster.train_workers,
        needs,
        cluster.volumes,
        cluster.secret_env,
        cluster.secret_volumes,
    )
    return json.dumps(described, sort_keys=True)


def _ask(task: Any, needs: profiles.Needs) -> None:
    """Sets the resource requests of this step."""
    for value, ask in (
        (needs.cpu, task.set_cpu_request),
        (needs.cpu_limit, task.set_cpu_limit),
        (needs.memory, task.set_memory_request),
        (needs.memory_limit, task.set_memory_limit),
    ):
        if value:
            ask(value)
    if needs.accelerator:
        task.set_accelerator_type(needs.accelerator).set_accelerator_limit(needs.accelerators)
    for label, value in needs.node_selector.items():
        kubernetes.add_node_selector(task, label_key=label, label_value=value)
    for taint in needs.tolerations:
        kubernetes.add_toleration(task, **profiles.toleration(taint))
    if needs.shm:
        kubernetes.empty_dir_mount(task, 'shm', profiles.SHARED_MEMORY, medium='Memory', size_limit=needs.shm)
