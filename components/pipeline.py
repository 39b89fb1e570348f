# SPDX-License-Identifier: Apache-2.0
"""The pipeline that joins the steps, and its compilation."""

import dataclasses
import os
import pathlib
import tempfile
from collections.abc import Mapping
from typing import Any

from kfp import compiler, dsl, kubernetes

from panpipe.components import steps

# Half a minute, then a minute: what preemption and a flaky network need.
_RETRIES, _BACKOFF, _BACKOFF_FACTOR = 2, '30s', 2.0


@dataclasses.dataclass(frozen=True)
class Cluster:
    """States what the steps ask of a cluster; the defaults ask for nothing.

    Attributes:
      image: container image of every step; it holds panpipe and kfp.
      accelerator: resource that train, evaluate and predict need, such as 'nvidia.com/gpu'; empty for none.
      accelerators: how many of them a step gets.
      node_selector: node labels that those three need.
      volumes: persistent volume claim → folder where every step sees it.
    """

    image: str = steps.IMAGE
    accelerator: str = ''
    accelerators: int = 1
    node_selector: Mapping[str, str] = dataclasses.field(default_factory=dict)
    volumes: Mapping[str, str] = dataclasses.field(default_factory=dict)


def define(cluster: Cluster) -> Any:
    """Makes the kfp pipeline for a cluster."""

    @dsl.pipeline(name='panpipe', description='From a raw panoptic data set to official scores and a report.')
    def panpipe(  # type: ignore[no-untyped-def]
        config: str,
        dataset: str = 'cityscapes_panoptic',
        overrides: list[str] = [],  # noqa: B006 (kfp reads the default)
        mode: str = 'train',
        raw_data: str = '',
        train_split: str = 'train',
        val_split: str = 'val',
        toy_images: int = 24,
        toy_height: int = 256,
        toy_width: int = 512,
    ):
        size = {'images': toy_images, 'height': toy_height, 'width': toy_width}
        source = steps.source(dataset=dataset, raw_data=raw_data, **size)
        raw, splits = source.outputs['raw'], {'train_split': train_split, 'val_split': val_split}
        convert = steps.convert(dataset=dataset, raw=raw, **splits)
        records = convert.outputs['records']
        statistics = steps.statistics(dataset=dataset, train_split=train_split, records=records)
        train = steps.train(
            dataset=dataset, config=config, overrides=overrides, mode=mode, records=records, **splits
        )
        model = train.outputs['model']
        evaluate = steps.evaluate(dataset=dataset, model=model, records=records)
        export = steps.export(model=model)
        scene = {'dataset': dataset, 'val_split': val_split}
        predict = steps.predict(val_split=val_split, exported=export.outputs['exported'], records=records)
        results = {'raw': raw, 'predictions': predict.outputs['predictions']}
        score = steps.score(**scene, **results)
        report = steps.report(
            score=score.outputs['score'],
            model=model,
            statistics=statistics.outputs['statistics'],
            records=records,
            **scene,
            **results,
        )
        for task in (source, convert, statistics, train, evaluate, export, predict, score, report):
            _place(task, cluster)
        for task in (train, evaluate, predict):
            _accelerate(task, cluster)

    return panpipe


def compiled(cluster: Cluster) -> str:
    """Compiles the pipeline to YAML; Kubernetes settings, if any, are a second document."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, 'pipeline.yaml')
        compiler.Compiler().compile(define(cluster), path)
        return pathlib.Path(path).read_text()


def _place(task: Any, cluster: Cluster) -> None:
    task.set_container_image(cluster.image)
    task.set_retry(_RETRIES, backoff_duration=_BACKOFF, backoff_factor=_BACKOFF_FACTOR)
    for claim, folder in cluster.volumes.items():
        kubernetes.mount_pvc(task, pvc_name=claim, mount_path=folder)


def _accelerate(task: Any, cluster: Cluster) -> None:
    if cluster.accelerator:
        task.set_accelerator_type(cluster.accelerator).set_accelerator_limit(cluster.accelerators)
    for label, value in cluster.node_selector.items():
        kubernetes.add_node_selector(task, label_key=label, label_value=value)
