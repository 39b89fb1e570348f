# SPDX-License-Identifier: Apache-2.0
"""The pipeline that joins the steps."""

import contextlib
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

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
            splits = {'train_split': train_split, 'val_split': val_split}
            size = {'images': toy_images, 'height': toy_height, 'width': toy_width}
            data = _data(dataset, splits, {'raw_data': raw_data, 'work': work}, size)
            how = {'config': config, 'overrides': overrides, 'mode': mode, 'strategy': strategy}
            trained = _trained(dataset, splits, work, data, how)
            scene = {'dataset': dataset, 'val_split': val_split, 'work': work}
            judged = _judged(scene, data, trained, min_pq)
            for task in (*data.tasks, *trained.tasks, *judged):
                place(task)

    return panpipe


class _Data(NamedTuple):
    """Holds the data's tasks, and what later ones take of them."""

    tasks: tuple[Any, ...]
    raw: Mapping[str, Any]
    records: Any
    statistics: Any


class _Trained(NamedTuple):
    """Holds the network's tasks, and what later ones take of them."""

    tasks: tuple[Any, ...]
    model: Any
    evaluation: Any
    exported: Any


def _data(
    dataset: Any, splits: Mapping[str, Any], places: Mapping[str, Any], size: Mapping[str, Any]
) -> _Data:
    """Finds the data or makes toy data, and converts them."""
    work = places['work']
    source = steps.source(**places, **size)
    toy = steps.toy(dataset=dataset, **places, **size)
    raw = {'raw_data': places['raw_data'], 'data': source.output, 'raw': toy.outputs['raw']}
    convert = steps.convert(dataset=dataset, work=work, **splits, **raw)
    records = convert.outputs['records']
    statistics = steps.statistics(
        dataset=dataset, train_split=splits['train_split'], work=work, records=records
    )
    tasks = source, toy, convert, statistics
    return _Data(tasks, raw, records, statistics.outputs['statistics'])


def _trained(
    dataset: Any, splits: Mapping[str, Any], work: Any, data: _Data, how: Mapping[str, Any]
) -> _Trained:
    """Trains, evaluates and exports a network."""
    train = steps.train(dataset=dataset, work=work, records=data.records, **how, **splits)
    model = train.outputs['model']
    evaluate = steps.evaluate(dataset=dataset, work=work, model=model, records=data.records)
    export = steps.export(work=work, model=model)
    made = model, evaluate.outputs['evaluation'], export.outputs['exported']
    return _Trained((train, evaluate, export), *made)


def _judged(scene: Mapping[str, Any], data: _Data, trained: _Trained, min_pq: Any) -> tuple[Any, ...]:
    """Predicts, scores and reports; what is below `min_pq` is not accepted."""
    work, exported = scene['work'], trained.exported
    predict = steps.predict(val_split=scene['val_split'], work=work, exported=exported, records=data.records)
    results = {'predictions': predict.outputs['predictions'], **data.raw}
    score = steps.score(**scene, **results)
    found = {'score': score.outputs['score']}
    accept = steps.accept(min_pq=min_pq, work=work, exported=exported, **found)
    made = {'model': trained.model, 'statistics': data.statistics, 'records': data.records}
    report = steps.report(evaluation=trained.evaluation, **found, **made, **scene, **results)
    return predict, score, accept, report.after(accept)


def _summarized(work: Any, place: Callable[[Any], None]) -> Any:
    summary = steps.summary(work=work)
    place(summary)
    return dsl.ExitHandler(summary)
