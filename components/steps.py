# SPDX-License-Identifier: Apache-2.0
"""The steps of the pipeline: each hands one job its artifacts' folders.

The body of a step travels as text into a container, so it imports what it needs. A job's exit status becomes
the step's. What is worth testing alone is in the jobs and in `experiment` and `metrics`.
"""

from kfp import dsl
from kfp.dsl import HTML, Artifact, ClassificationMetrics, Dataset, Input, Markdown, Metrics, Model, Output

IMAGE = 'panpipe:0.1.0'

_step = dsl.component(base_image=IMAGE, packages_to_install=[], install_kfp_package=False)


@_step
def source(dataset: str, raw_data: str, images: int, height: int, width: int, raw: Output[Dataset]):  # type: ignore[no-untyped-def]
    """Points to the raw data set, or writes a toy one where `raw_data` is empty."""
    from panpipe.components import command

    if raw_data:
        raw.uri = raw_data
        return
    size = [f'--images={images}', f'--height={height}', f'--width={width}']
    command.call('toy', '--dataset', dataset, '--output', raw.path, *size)


@_step
def convert(  # type: ignore[no-untyped-def]
    dataset: str,
    train_split: str,
    val_split: str,
    raw: Input[Dataset],
    records: Output[Dataset],
    samples: Output[HTML],
):
    """Turns the raw data set into TFRecords, and draws the first of them."""
    from panpipe.components import command

    splits = ','.join(dict.fromkeys([train_split, val_split]))
    paths = ['--input', raw.path, '--output', records.path]
    command.call('convert', '--dataset', dataset, '--splits', splits, *paths)
    pattern = f'{records.path}/{train_split}-*.tfrecord'
    command.call('show', pattern, '--dataset', dataset, '--page', '4', '--output', samples.path)


@_step
def statistics(dataset: str, train_split: str, records: Input[Dataset], statistics: Output[Artifact]):  # type: ignore[no-untyped-def]
    """Describes the training records."""
    from panpipe.components import command

    pattern = f'{records.path}/{train_split}-*.tfrecord'
    command.call('statistics', '--dataset', dataset, '--input', pattern, '--output', statistics.path)


@_step
def train(  # type: ignore[no-untyped-def]
    dataset: str,
    config: str,
    overrides: list[str],
    mode: str,
    train_split: str,
    val_split: str,
    records: Input[Dataset],
    model: Output[Model],
):
    """Trains a network, with evaluations in between where `mode` says so."""
    from panpipe.components import command, experiment

    patterns = experiment.patterns(dataset, records.path, train_split, val_split)
    path = experiment.prepare(config, [*patterns, *overrides], model.path)
    command.call('train', '--config', path, '--model_dir', model.path, '--mode', mode)


@_step
def evaluate(  # type: ignore[no-untyped-def]
    dataset: str,
    model: Input[Model],
    records: Input[Dataset],
    evaluation: Output[Artifact],
    metrics: Output[Metrics],
    confusion: Output[ClassificationMetrics],
    pictures: Output[HTML],
):
    """Evaluates the newest checkpoint with our own metrics, in memory, and draws the first samples."""
    from panpipe.components import command, experiment, pages
    from panpipe.components import metrics as figures

    settings = ['--config', experiment.path(model.path), '--mode', 'eval']
    checkpoint = f'model_options.initial_checkpoint={experiment.run_dir(model.path)}'
    command.call('train', *settings, '--model_dir', evaluation.path, '--set', checkpoint)
    run_dir = experiment.run_dir(evaluation.path)
    for name, value in figures.evaluation(run_dir).items():
        metrics.log_metric(name, value)
    confusion.log_confusion_matrix(*figures.confusion(run_dir, dataset))
    with open(pictures.path, 'w') as file:
        file.write(pages.evaluation(run_dir, f'{dataset}: what the network says'))


@_step
def export(model: Input[Model], exported: Output[Model]):  # type: ignore[no-untyped-def]
    """Turns the newest checkpoint into a SavedModel."""
    from panpipe.components import command, experiment

    settings = ['--config', experiment.path(model.path)]
    checkpoint = ['--checkpoint', experiment.run_dir(model.path)]
    command.call('export', *settings, *checkpoint, '--output', exported.path)


@_step
def predict(  # type: ignore[no-untyped-def]
    val_split: str,
    exported: Input[Model],
    records: Input[Dataset],
    predictions: Output[Dataset],
):
    """Writes the files that official evaluators take."""
    from panpipe.components import command

    paths = ['--input', f'{records.path}/{val_split}-*.tfrecord', '--output', predictions.path]
    command.call('predict', '--saved_model', exported.path, *paths)


@_step
def score(  # type: ignore[no-untyped-def]
    dataset: str,
    val_split: str,
    predictions: Input[Dataset],
    raw: Input[Dataset],
    score: Output[Artifact],
    metrics: Output[Metrics],
    summary: Output[Markdown],
):
    """Runs the official evaluators."""
    from panpipe.components import command
    from panpipe.components import metrics as figures
    from panpipe.model import datasets

    paths = ['--predictions', predictions.path, '--ground_truth', raw.path, '--output', score.path]
    form = 'cityscapes' if datasets.find(dataset).layout == 'cityscapes' else 'coco'
    command.call('score', '--format', form, '--split', val_split, *paths)
    with open(summary.path, 'w') as file:
        file.write(figures.markdown(score.path))
    for name, value in figures.official(score.path).items():
        metrics.log_metric(name, value)


@_step
def report(  # type: ignore[no-untyped-def]
    dataset: str,
    val_split: str,
    raw: Input[Dataset],
    predictions: Input[Dataset],
    score: Input[Artifact],
    model: Input[Model],
    statistics: Input[Artifact],
    records: Input[Dataset],
    page: Output[HTML],
):
    """Makes one page of numbers, curves and pictures."""
    from panpipe.components import command, experiment

    settings = ['--config', experiment.path(model.path)]
    truth = ['--dataset', dataset, '--ground_truth', raw.path, '--split', val_split]
    results = ['--predictions', predictions.path, '--score', score.path]
    origin = [
        '--run_dir',
        experiment.run_dir(model.path),
        '--statistics',
        f'{statistics.path}/statistics.json',
        '--records',
        records.path,
    ]
    command.call('report', *truth, *results, *origin, *settings, '--output', page.path)
