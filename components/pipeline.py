# SPDX-License-Identifier: Apache-2.0
"""The pipeline that joins the steps."""

import contextlib
from collections.abc import Callable
from typing import Any

from kfp import dsl

from panpipe.components import steps

DESCRIPTION = 'From a raw panoptic data set to official scores and a report.'
# The first and the last step of a run are never taken from the cache: `source` has to look at the data each
# time, and Kubeflow Pipelines 2.17.0 does not see that a nested part is complete if its last task was cached.
UNCACHED = ('source', 'report', 'summary')


def define(place: Callable[[Any], None], has_summary: bool = True) -> Any:
    """Makes the kfp pipeline.

    Args:
      place: is called with each task, to say where it runs.
      has_summary: whether a last task writes a summary of the run, however it ended.
    """

    @dsl.pipeline(name='panpipe', description=DESCRIPTION)
    def panpipe(  # type: ignore[no-untyped-def]
        config: str,
        dataset: str = 'cityscapes_panoptic',
        overrides: list[str] = [],  # noqa: B006 (kfp reads the default)
        mode: str = 'train',
        strategy: str = 'auto',
        raw_data: str = '',
        work: str = '',
        min_pq: float = 0.0,
        train_split: str = 'train',
        val_split: str = 'val',
        toy_images: int = 24,
        toy_height: int = 256,
        toy_width: int = 512,
    ):
        with _summarized(work, place) if has_summary else contextlib.nullcontext():
            size = {'images': toy_images, 'height': toy_height, 'width': toy_width}
            source = steps.source(raw_data=raw_data, work=work, **size)
            toy = steps.toy(dataset=dataset, raw_data=raw_data, work=work, **size)
            splits = {'train_split': train_split, 'val_split': val_split}
            raw = {'raw_data': raw_data, 'data': source.output, 'raw': toy.outputs['raw']}
            convert = steps.convert(dataset=dataset, work=work, **splits, **raw)
            records = convert.outputs['records']
            statistics = steps.statistics(
                dataset=dataset, train_split=train_split, work=work, records=records
            )
            train = steps.train(
                dataset=dataset,
                config=config,
                overrides=overrides,
                mode=mode,
                strategy=strategy,
                work=work,
                records=records,
                **splits,
            )
            model = train.outputs['model']
            evaluate = steps.evaluate(dataset=dataset, work=work, model=model, records=records)
            export = steps.export(work=work, model=model)
            exported = export.outputs['exported']
            predict = steps.predict(val_split=val_split, work=work, exported=exported, records=records)
            scene = {'dataset': dataset, 'val_split': val_split, 'work': work}
            results = {'predictions': predict.outputs['predictions'], **raw}
            score = steps.score(**scene, **results)
            found = score.outputs['score']
            accept = steps.accept(min_pq=min_pq, work=work, score=found, exported=exported)
            report = steps.report(
                score=found,
                model=model,
                statistics=statistics.outputs['statistics'],
                records=records,
                **scene,
                **results,
            ).after(accept, evaluate)
            for task in (source, toy, convert, statistics, train, evaluate):
                place(task)
            for task in (export, predict, score, accept, report):
                place(task)

    return panpipe


def _summarized(work: Any, place: Callable[[Any], None]) -> Any:
    summary = steps.summary(work=work)
    place(summary)
    return dsl.ExitHandler(summary)
