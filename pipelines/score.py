# SPDX-License-Identifier: Apache-2.0
"""The score job: official evaluators on predictions; prints a table and writes JSON, in per cent.

panpipe computes its own numbers of the same files. Where they differ from the official ones by more than
rounding, the job fails after it wrote what it found. There is no official mIoU for COCO panoptic; that figure
is panpipe's.
"""

import argparse
import functools
import json
import pathlib
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from rich import console, table

from panpipe.model import errors
from panpipe.model.jobs import command_line, outputs
from panpipe.pipelines.scoring import judges, official_python, own_score, summaries

_JUDGES: Mapping[str, Callable[..., dict[str, Any]]] = {'cityscapes': judges.cityscapes, 'coco': judges.coco}
_EXAMPLES = (
    'panpipe score --format cityscapes --predictions predictions --ground_truth raw --output score.json',
    'panpipe score --format coco --predictions predictions --ground_truth raw --split val',
)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the job and returns its exit status."""
    parser = command_line.parser('score', __doc__ or '', _EXAMPLES)
    parser.add_argument('--format', required=True, choices=_JUDGES, help='form of the predictions')
    parser.add_argument('--predictions', required=True, type=pathlib.Path, help='folder that predict wrote')
    parser.add_argument('--ground_truth', required=True, type=pathlib.Path, help='root of the raw data set')
    parser.add_argument('--split', default='val', help='split of the raw data set (default: val)')
    parser.add_argument('--output', type=pathlib.Path, help='JSON file to write')
    parser.add_argument(
        '--python',
        help=f"the evaluators' interpreter (default: ${official_python.VARIABLE} or .venv-official)",
    )
    return command_line.run('score', functools.partial(_run, parser.parse_args(argv)))


def _run(arguments: argparse.Namespace) -> None:
    if arguments.output:
        outputs.check_file('--output', arguments.output)
    python = official_python.interpreter(arguments.python)
    if not arguments.ground_truth.is_dir():
        raise errors.InputError(f'the folder --ground_truth {arguments.ground_truth} does not exist')
    # The evaluators run in another folder.
    places = arguments.predictions.absolute(), arguments.ground_truth.absolute()
    with tempfile.TemporaryDirectory(prefix='panpipe-score-') as scratch:
        score = _JUDGES[arguments.format](*places, arguments.split, pathlib.Path(scratch), python)
    score = {'format': arguments.format, 'split': arguments.split, **score}
    if arguments.output:
        write(arguments.output, score)
    show(score)
    _compare(score)


def _compare(score: Mapping[str, Any]) -> None:
    """Refuses own numbers that differ from the official ones, but for what these make of several crowds.

    Raises:
      errors.JobError: they do.
    """
    is_ambiguous = bool(score.get('ambiguous_images'))
    if is_ambiguous:
        print(
            f'panpipe score: {len(score["ambiguous_images"])} images have several crowds of one class, of '
            'which the official evaluator sees the last alone (docs/evaluation.md)'
        )
    for key, value in score.get('difference', {}).items():
        if is_ambiguous and key in summaries.MEASURES:
            continue
        for group, difference in value.items() if isinstance(value, Mapping) else (('', value),):
            if difference is not None and abs(difference) > own_score.TOLERANCE:
                raise errors.JobError(
                    f"panpipe's own {key} {group} differs by {difference:.2g} per cent from the official "
                    'one; please report it with these files'
                )


def write(path: pathlib.Path, score: Mapping[str, Any]) -> None:
    """Writes the score file whole."""
    outputs.write_whole(path, json.dumps(score, indent=2).encode() + b'\n')


def show(score: Mapping[str, Any]) -> None:
    """Prints the means as a table: official, and in brackets by how much ours differ."""
    grid = table.Table('per cent')
    for name in ('PQ', 'SQ', 'RQ', 'classes'):
        grid.add_column(name, justify='right')
    difference = score.get('difference', {})
    if score['num_classes']['all']:
        for group in summaries.GROUPS:
            own = [difference.get(key, {}).get(group) for key in summaries.MEASURES]
            official = [score[key][group] for key in summaries.MEASURES]
            grid.add_row(group, *map(_figure, official, own), str(score['num_classes'][group]))
        grid.add_section()
    grid.add_row('mIoU', _figure(score['miou'], difference.get('miou')))
    instance = score.get('instance')
    if instance:
        grid.add_row('AP', _figure(instance.get('ap')))
        grid.add_row('AP 50', _figure(instance.get('ap50')))
    console.Console().print(grid)
    print(f'panpipe score: {score["num_images"]} images, judged by {score["evaluator"]}')
    if instance:
        told = instance.get('undefined')
        print(
            'panpipe score: instances '
            + (f'have no score: {told}' if told else f'judged by {instance["evaluator"]}')
        )


def _figure(value: float | None, difference: float | None = None) -> str:
    if value is None:
        return '–'
    # Rounding of sums is no difference.
    differs = difference is not None and abs(difference) > own_score.TOLERANCE
    return f'{value:.1f} ({difference:+.1g})' if differs else f'{value:.1f}'


if __name__ == '__main__':
    sys.exit(main())
