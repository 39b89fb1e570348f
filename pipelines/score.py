# SPDX-License-Identifier: Apache-2.0
"""The score job: official evaluators on predictions; prints a table and writes JSON, in per cent.

panpipe computes its own numbers of the same files. Where they differ from the official ones by more than
rounding, the job fails after it wrote what it found. There is no official mIoU for COCO panoptic; that figure
is panpipe's.
"""

import argparse
import contextlib
import dataclasses
import functools
import pathlib
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence

from rich import console, table

from panpipe.model import datasets, errors, image_files
from panpipe.model.jobs import command_line, outputs
from panpipe.model.metrics import result_files, results
from panpipe.model.storage import copies, lock
from panpipe.pipelines.scoring import judges, official_python, own_score

_JUDGES: Mapping[str, Callable[..., results.Result]] = {'cityscapes': judges.cityscapes, 'coco': judges.coco}
_EXAMPLES = (
    'panpipe score --format cityscapes --predictions predictions --ground_truth raw --output score.json',
    'panpipe score --format coco --predictions predictions --ground_truth raw --split val',
)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the job and returns its exit status."""
    parser = command_line.parser('score', __doc__ or '', _EXAMPLES)
    parser.add_argument('--format', required=True, choices=_JUDGES, help='form of the predictions')
    parser.add_argument('--predictions', required=True, help='folder that predict wrote')
    parser.add_argument('--ground_truth', required=True, help='root of the raw data set')
    parser.add_argument('--split', default='val', help='split of the raw data set (default: val)')
    parser.add_argument(
        '--dataset',
        help='name or .json description of the data set, if the ground truth does not say what is a thing',
    )
    parser.add_argument('--output', help='JSON file to write')
    parser.add_argument(
        '--python',
        help=f"the evaluators' interpreter (default: ${official_python.VARIABLE} or .venv-official)",
    )
    parser.add_argument(
        '--max_megapixels',
        type=int,
        metavar='N',
        help='largest image that is accepted, in millions of pixels (default: 500)',
    )
    inputs = ('predictions', 'ground_truth')
    job = functools.partial(copies.run, _run, parser.parse_args(argv), inputs, kind=pathlib.Path)
    return command_line.run('score', job)


def _run(arguments: argparse.Namespace) -> None:
    image_files.allow(arguments.max_megapixels)
    if arguments.output:
        outputs.check_file('--output', arguments.output)
    spec = datasets.find(arguments.dataset) if arguments.dataset else None
    if spec and spec.format != arguments.format:
        raise errors.InputError(f'{spec.name} has --format {spec.format}, not {arguments.format}')
    python = official_python.interpreter(arguments.python)
    if not arguments.ground_truth.is_dir():
        raise errors.InputError(f'the folder --ground_truth {arguments.ground_truth} does not exist')
    # The evaluators run in another folder.
    places = arguments.predictions.absolute(), arguments.ground_truth.absolute()
    with _locked(arguments.given.output):
        with tempfile.TemporaryDirectory(prefix='panpipe-score-') as scratch:
            score = _JUDGES[arguments.format](*places, arguments.split, pathlib.Path(scratch), python, spec)
        score = dataclasses.replace(score, format=arguments.format, split=arguments.split)
        if arguments.output:
            result_files.write(arguments.output, score)
    show(score)
    if spec and (measure := datasets.LAYOUTS[spec.layout].unjudged):
        print(
            f'panpipe score: note: the official measure of {spec.name} is {measure}; panpipe does not '
            'compute it, these are PQ and mIoU of single images'
        )
    _compare(score)


def _locked(output: str | None) -> contextlib.AbstractContextManager[None]:
    return lock.held(lock.beside(output), 'score') if output else contextlib.nullcontext()


def _compare(score: results.Result) -> None:
    """Refuses numbers of ours that differ from the official ones, except for several crowds of a class.

    Raises:
      errors.JobError: they do.
    """
    if score.ambiguous_images:
        print(
            f'panpipe score: {len(score.ambiguous_images)} images have several crowds of one class, of '
            'which the official evaluator sees the last alone (docs/evaluation.md)'
        )
    for name, value in _differences(score):
        if value is not None and abs(value) > own_score.TOLERANCE:
            raise errors.JobError(
                f"panpipe's own {name} differs by {value:.2g} per cent from the official one; please report "
                'it with these files'
            )


def _differences(score: results.Result) -> Iterator[tuple[str, float | None]]:
    """Yields what must be zero, by name."""
    if score.difference is None:
        return
    if not score.ambiguous_images:
        for measure in results.MEASURES:
            groups: results.Groups | None = getattr(score.difference, measure)
            yield from ((f'{measure} {group}', value) for group, value in (groups or results.NOTHING).items())
    yield 'miou', score.difference.miou


def show(score: results.Result) -> None:
    """Prints the means as a table: official, and in brackets by how much ours differ."""
    grid = table.Table('per cent')
    for name in ('PQ', 'SQ', 'RQ', 'classes'):
        grid.add_column(name, justify='right')
    difference = score.difference or results.Means()
    if score.num_classes.all:
        for group in results.GROUPS:
            figures = (
                _figure(getattr(getattr(score, key), group), getattr(getattr(difference, key), group, None))
                for key in results.MEASURES
            )
            grid.add_row(group, *figures, str(getattr(score.num_classes, group)))
        grid.add_section()
    grid.add_row('mIoU', _figure(score.miou, difference.miou))
    instance = score.instance
    if instance:
        grid.add_row('AP', _figure(instance.ap))
        grid.add_row('AP 50', _figure(instance.ap50))
    console.Console(markup=False).print(grid)
    print(f'panpipe score: {score.num_images} images, judged by {score.evaluator}')
    if instance and instance.undefined:
        print(f'panpipe score: instances have no score: {instance.undefined}')
    elif instance:
        print(f'panpipe score: instances judged by {instance.evaluator}')


def _figure(value: float | None, difference: float | None = None) -> str:
    if value is None:
        return '–'
    # Rounding of sums is no difference.
    differs = difference is not None and abs(difference) > own_score.TOLERANCE
    return f'{value:.1f} ({difference:+.1g})' if differs else f'{value:.1f}'


if __name__ == '__main__':
    sys.exit(main())
