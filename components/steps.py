# SPDX-License-Identifier: Apache-2.0
"""The steps of the pipeline: each hands one job the folders of its artifacts.

The body of a step travels as text into a container, so it imports what it needs. A job's exit status becomes
the step's. What is worth testing alone is in the jobs and in this folder's other modules.

No step sets the URI of an artifact: Kubeflow's launcher takes those under the run's own root only. Raw data
travels as its address, `raw_data`; the artifact `raw` holds toy data, or the address as text.
"""

from kfp import dsl
from kfp.dsl import (
    HTML,
    Artifact,
    ClassificationMetrics,
    Dataset,
    Input,
    Markdown,
    Metrics,
    Model,
    Output,
    PipelineTaskFinalStatus,
)

IMAGE = 'panpipe:0.1.0'

_step = dsl.component(base_image=IMAGE, packages_to_install=[], install_kfp_package=False)


@_step
def source(raw_data: str, images: int, height: int, width: int, work: str) -> str:
    """Looks at the raw data: returns a digest of its listing, on which the cached steps depend."""
    from panpipe.components import listing
    from panpipe.components.attempt import Attempt

    with Attempt('source', work) as step:
        found = step.perform('workflow', listing.digest, raw_data)
    return f'{found} {images} {height} {width}' if not raw_data else found


@_step
def toy(  # type: ignore[no-untyped-def]
    dataset: str, raw_data: str, images: int, height: int, width: int, work: str, raw: Output[Dataset]
):
    """Writes a toy data set, or, where `raw_data` is given, that address as text."""
    from panpipe.components.attempt import Attempt

    if raw_data:
        raw.metadata['address'] = raw_data
        with open(raw.path, 'w') as file:
            file.write(raw_data)
        return
    size = [f'--images={images}', f'--height={height}', f'--width={width}']
    with Attempt('toy', work) as step:
        step.call('toy', '--dataset', dataset, '--output', raw.path, *size)


@_step
def convert(  # type: ignore[no-untyped-def]
    dataset: str,
    train_split: str,
    val_split: str,
    raw_data: str,
    data: str,
    work: str,
    raw: Input[Dataset],
    records: Output[Dataset],
    samples: Output[HTML],
):
    """Turns the raw data set into TFRecords, and draws the first of them."""
    from panpipe.components import places
    from panpipe.components.attempt import Attempt

    splits = ','.join(dict.fromkeys([train_split, val_split]))
    with Attempt('convert', work) as step:
        place = places.claim(
            records, work, 'records', dataset=dataset, splits=splits, raw_data=raw_data, data=data
        )
        paths = ['--input', raw_data or raw.path, '--output', place.folder]
        step.fill(
            place, 'convert', '--dataset', dataset, '--splits', splits, *paths, small=('manifest.json',)
        )
        pattern = f'{place.folder}/{train_split}-*.tfrecord'
        page = ['--page', '4', '--title', f'{dataset}, {train_split}', '--output', samples.path]
        step.call('show', pattern, '--dataset', dataset, *page)


@_step
def statistics(  # type: ignore[no-untyped-def]
    dataset: str, train_split: str, work: str, records: Input[Dataset], statistics: Output[Artifact]
):
    """Describes the training records."""
    from panpipe.components import places
    from panpipe.components.attempt import Attempt

    pattern = f'{places.follow(records)}/{train_split}-*.tfrecord'
    with Attempt('statistics', work) as step:
        step.call('statistics', '--dataset', dataset, '--input', pattern, '--output', statistics.path)


@_step
def train(  # type: ignore[no-untyped-def]
    dataset: str,
    config: str,
    overrides: list[str],
    mode: str,
    strategy: str,
    train_split: str,
    val_split: str,
    work: str,
    records: Input[Dataset],
    model: Output[Model],
):
    """Trains a network, with evaluations in between where `mode` says so; goes on where an attempt ended."""
    from panpipe.components import experiment, following, places
    from panpipe.components.attempt import Attempt

    with Attempt('train', work) as step:
        patterns = experiment.patterns(dataset, places.follow(records), train_split, val_split)
        text = step.perform('train', experiment.complete, config, [*patterns, *overrides])
        place = places.claim(model, work, 'model', config=text, mode=mode)
        path = experiment.save(text, place.folder)
        devices = step.perform('train', experiment.devices, strategy)
        settings = ['--config', path, '--model_dir', place.folder, '--mode', mode]
        if following.is_asked():  # of pods that train together
            step.fill_by(place, 'train', following.train, place.folder, work, settings)
        else:
            step.fill(place, 'train', *settings, *devices)


@_step
def evaluate(  # type: ignore[no-untyped-def]
    dataset: str,
    work: str,
    model: Input[Model],
    records: Input[Dataset],
    evaluation: Output[Artifact],
    evaluate_metrics: Output[Metrics],
    confusion: Output[ClassificationMetrics],
    pictures: Output[HTML],
):
    """Evaluates the newest checkpoint with our own metrics, in memory, and draws the first samples."""
    from panpipe.components import experiment, metrics, pages, places
    from panpipe.components.attempt import Attempt

    trained = places.follow(model)
    settings = ['--config', experiment.path(trained), '--mode', 'eval']
    checkpoint = f'model_options.initial_checkpoint={experiment.run_dir(trained)}'
    with Attempt('evaluate', work) as step:
        step.call('train', *settings, '--model_dir', evaluation.path, '--set', checkpoint)
        run_dir = experiment.run_dir(evaluation.path)
        for name, value in metrics.evaluation(run_dir).items():
            evaluate_metrics.log_metric(name, value)
        confusion.log_confusion_matrix(*metrics.confusion(run_dir))
        with open(pictures.path, 'w') as file:
            file.write(pages.evaluation(run_dir, f'{dataset}: what the network says'))


@_step
def export(work: str, model: Input[Model], exported: Output[Model]):  # type: ignore[no-untyped-def]
    """Exports the newest checkpoint as a SavedModel."""
    from panpipe.components import experiment, places
    from panpipe.components.attempt import Attempt

    trained = places.follow(model)
    place = places.claim(exported, work, 'export', model=trained)
    settings = ['--config', experiment.path(trained)]
    checkpoint = ['--checkpoint', experiment.run_dir(trained)]
    with Attempt('export', work) as step:
        step.fill(place, 'export', *settings, *checkpoint, '--output', place.folder)


@_step
def predict(  # type: ignore[no-untyped-def]
    val_split: str,
    work: str,
    exported: Input[Model],
    records: Input[Dataset],
    predictions: Output[Dataset],
):
    """Writes the files that official evaluators take."""
    from panpipe.components import places
    from panpipe.components.attempt import Attempt

    model, pattern = places.follow(exported), f'{places.follow(records)}/{val_split}-*.tfrecord'
    place = places.claim(predictions, work, 'predictions', model=model, records=pattern)
    with Attempt('predict', work) as step:
        step.fill(place, 'predict', '--saved_model', model, '--input', pattern, '--output', place.folder)


@_step
def score(  # type: ignore[no-untyped-def]
    dataset: str,
    val_split: str,
    raw_data: str,
    data: str,
    work: str,
    predictions: Input[Dataset],
    raw: Input[Dataset],
    score: Output[Artifact],
    score_metrics: Output[Metrics],
    summary: Output[Markdown],
):
    """Runs the official evaluators."""
    from panpipe.components import metrics, places
    from panpipe.components.attempt import Attempt
    from panpipe.model import datasets

    paths = ['--predictions', places.follow(predictions), '--ground_truth', raw_data or raw.path]
    form = datasets.find(dataset).format
    with Attempt('score', work) as step:
        step.call('score', '--format', form, '--split', val_split, *paths, '--output', score.path)
        step.figures = metrics.official(score.path)
        with open(summary.path, 'w') as file:
            file.write(metrics.markdown(score.path))
        for name, value in step.figures.items():
            score_metrics.log_metric(name, value)


@_step
def accept(min_pq: float, work: str, score: Input[Artifact], exported: Input[Model], accepted: Output[Model]):  # type: ignore[no-untyped-def]
    """Marks the exported model as accepted, or ends the run where its panoptic quality is too low."""
    from panpipe.components import metrics, places
    from panpipe.components.attempt import Attempt

    with Attempt('accept', work) as step:
        step.figures = step.perform('workflow', metrics.accepted, score.path, min_pq)
        places.refer(accepted, exported, step.figures)


@_step
def report(  # type: ignore[no-untyped-def]
    dataset: str,
    val_split: str,
    raw_data: str,
    data: str,
    work: str,
    raw: Input[Dataset],
    predictions: Input[Dataset],
    score: Input[Artifact],
    model: Input[Model],
    statistics: Input[Artifact],
    records: Input[Dataset],
    evaluation: Input[Artifact],
    page: Output[HTML],
):
    """Makes one page of numbers, curves and pictures."""
    from panpipe.components import experiment, places
    from panpipe.components.attempt import Attempt

    trained = places.follow(model)
    truth = ['--dataset', dataset, '--ground_truth', raw_data or raw.path, '--split', val_split]
    results = ['--predictions', places.follow(predictions), '--score', score.path]
    origin = ['--run_dir', experiment.run_dir(trained), '--config', experiment.path(trained)]
    data_facts = ['--statistics', f'{statistics.path}/statistics.json', '--records', places.follow(records)]
    slots = experiment.slots(evaluation.path)
    with Attempt('report', work) as step:
        step.call('report', *truth, *results, *origin, *data_facts, *slots, '--output', page.path)


@_step
def summary(work: str, status: PipelineTaskFinalStatus, summary: Output[Markdown]):  # type: ignore[no-untyped-def]
    """Writes a summary of all steps, whether the run succeeded or failed."""
    from panpipe.components import notes

    found = notes.read(work) if work else []
    with open(summary.path, 'w') as file:
        file.write(notes.summary(found, status.state.lower(), status.error_message or ''))
