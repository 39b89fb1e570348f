# SPDX-License-Identifier: Apache-2.0
"""The score job: official evaluators on predictions; prints a table and writes JSON, in per cent.

The evaluators run unmodified in a Python of their own: cityscapesScripts for Cityscapes, and hotcoco, which
follows panopticapi, for COCO. There is no official mIoU for COCO panoptic; that figure is panpipe's.
"""

import argparse
import functools
import importlib.metadata
import json
import os
import pathlib
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from rich import console, table

from panpipe.model import errors, jobs
from panpipe.pipelines import evaluators, truths

_GROUPS = ('all', 'things', 'stuff')
_MEASURES = ('pq', 'sq', 'rq')
_EXAMPLES = (
    'panpipe score --format cityscapes --predictions predictions --ground_truth raw --output score.json',
    'panpipe score --format coco --predictions predictions --ground_truth raw --split val',
)
Entry = Mapping[str, Any]


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the job and returns its exit status."""
    parser = jobs.parser('score', __doc__ or '', _EXAMPLES)
    parser.add_argument('--format', required=True, choices=_JUDGES, help='form of the predictions')
    parser.add_argument('--predictions', required=True, type=pathlib.Path, help='folder that predict wrote')
    parser.add_argument('--ground_truth', required=True, type=pathlib.Path, help='root of the raw data set')
    parser.add_argument('--split', default='val', help='split of the raw data set (default: val)')
    parser.add_argument('--output', type=pathlib.Path, help='JSON file to write')
    parser.add_argument(
        '--python', help=f"the evaluators' interpreter (default: ${evaluators.VARIABLE} or .venv-official)"
    )
    return jobs.run('score', functools.partial(_run, parser.parse_args(argv)))


def _run(arguments: argparse.Namespace) -> None:
    python = evaluators.interpreter(arguments.python)
    if not arguments.ground_truth.is_dir():
        raise errors.InputError(f'the folder --ground_truth {arguments.ground_truth} does not exist')
    with tempfile.TemporaryDirectory(prefix='panpipe-score-') as scratch:
        judge = _JUDGES[arguments.format]
        score = judge(
            arguments.predictions, arguments.ground_truth, arguments.split, pathlib.Path(scratch), python
        )
    score = {'format': arguments.format, 'split': arguments.split, **score}
    if arguments.output:
        write(arguments.output, score)
    show(score)


def judge_cityscapes(
    predictions: pathlib.Path, root: pathlib.Path, split: str, scratch: pathlib.Path, python: str
) -> dict[str, Any]:
    """Scores the predictions of a Cityscapes split by cityscapesScripts.

    Args:
      predictions: folder with `panoptic.json`, `panoptic/` and `semantic/`.
      root: raw data set.
      split: for example 'val'.
      scratch: empty folder for files on the way.
      python: the evaluators' interpreter.

    Returns:
      The content of the score file.

    Raises:
      errors.InputError: files are missing or do not fit each other.
    """
    truth = truths.cityscapes(root, split, scratch, python)
    prediction = truths.read(predictions / 'panoptic.json', predictions / 'panoptic')
    by_image = {entry['image_id']: entry for entry in prediction.annotations}
    pairs = _pairs(truth, prediction, lambda entry: entry['image_id'], by_image)
    semantic = [str(predictions / 'semantic' / f'{entry["image_id"]}.png') for entry, _ in pairs]
    _check_files(semantic)
    truth_files = truths.label_id_files(truth, root, split, scratch)
    facts = {
        'ground_truth_json': str(truth.path),
        'ground_truth_folder': str(truth.folder),
        'prediction_json': str(prediction.path),
        'prediction_folder': str(prediction.folder),
        'semantic': list(zip(semantic, truth_files, strict=True)),
    }
    programs = 'evalPanopticSemanticLabeling, evalPixelLevelSemanticLabeling'
    _announce('cityscapesScripts', len(pairs))
    found = evaluators.judge(python, 'cityscapes.py', facts, scratch)
    evaluator = f'cityscapesScripts {found["version"]} ({programs})'
    return summary(found, found['miou'], found['iou'], evaluator, len(pairs))


def judge_coco(
    predictions: pathlib.Path, root: pathlib.Path, split: str, scratch: pathlib.Path, python: str
) -> dict[str, Any]:
    """Scores the predictions of a split in COCO layout by hotcoco, as `judge_cityscapes` does."""
    truth = truths.coco(root, split)
    prediction = truths.read(predictions / 'panoptic.json', predictions / 'panoptic')
    by_name = {_stem(entry): entry for entry in prediction.annotations}
    pairs = _pairs(truth, prediction, _stem, by_name)
    paths = truths.renumbered(truth, [predicted for _, predicted in pairs], scratch)
    facts = {
        'ground_truth_json': str(paths[0]),
        'ground_truth_folder': str(truth.folder),
        'prediction_json': str(paths[1]),
        'prediction_folder': str(prediction.folder),
    }
    _announce('hotcoco', len(pairs))
    matrix, names = truths.confusion(truth, prediction, pairs)
    found = evaluators.judge(python, 'coco.py', facts, scratch)
    semantic = matrix.result()
    ious = {
        name: float(iou) for name, iou in zip(names, semantic.per_class, strict=True) if not np.isnan(iou)
    }
    own = importlib.metadata.version('panpipe')
    evaluator = f'hotcoco {found["version"]} (panoptic.pq_compute), mIoU by panpipe {own}'
    return summary(found, semantic.miou if ious else None, ious, evaluator, len(pairs))


_JUDGES: Mapping[str, Callable[..., dict[str, Any]]] = {'cityscapes': judge_cityscapes, 'coco': judge_coco}


def summary(
    found: Mapping[str, Any],
    miou: float | None,
    ious: Mapping[str, float],
    evaluator: str,
    num_images: int,
) -> dict[str, Any]:
    """Makes the content of the score file: per cent; null where no class of a group occurs."""
    groups = found['groups']
    classes = {**{name: {} for name in ious}, **found['per_class']}
    return {
        'evaluator': evaluator,
        'num_images': num_images,
        **{key: {name: _percent(groups.get(name, {}).get(key)) for name in _GROUPS} for key in _MEASURES},
        'num_classes': {name: groups.get(name, {}).get('n', 0) for name in _GROUPS},
        'miou': _percent(miou),
        'per_class': {
            name: {**{key: _percent(one.get(key)) for key in _MEASURES}, 'iou': _percent(ious.get(name))}
            for name, one in classes.items()
        },
    }


def write(path: pathlib.Path, score: Mapping[str, Any]) -> None:
    """Writes the score file whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f'{path.name}.partial')
    aside.write_text(json.dumps(score, indent=2) + '\n')
    os.replace(aside, path)


def show(score: Mapping[str, Any]) -> None:
    """Prints the means as a table."""
    grid = table.Table('per cent')
    for name in ('PQ', 'SQ', 'RQ', 'classes'):
        grid.add_column(name, justify='right')
    for group in _GROUPS:
        figures = (_figure(score[key][group]) for key in _MEASURES)
        grid.add_row(group, *figures, str(score['num_classes'][group]))
    grid.add_section()
    grid.add_row('mIoU', _figure(score['miou']))
    console.Console().print(grid)
    print(f'panpipe score: {score["num_images"]} images, judged by {score["evaluator"]}')


def _figure(value: float | None) -> str:
    return '–' if value is None else f'{value:.1f}'


def _percent(value: float | None) -> float | None:
    return None if value is None else 100 * value


def _stem(entry: Entry) -> str:
    return pathlib.PurePath(entry['file_name']).stem


def _pairs(
    truth: truths.Panoptic,
    prediction: truths.Panoptic,
    key: Callable[[Entry], str],
    found: Mapping[str, Entry],
) -> list[tuple[Entry, Entry]]:
    """Joins the ground truth's images with their predictions, none of which may be missing."""
    missing = [key(entry) for entry in truth.annotations if key(entry) not in found]
    if missing:
        raise errors.InputError(
            f'{prediction.path} lacks {len(missing)} of {len(truth.annotations)} images of the ground truth, '
            f'the first is {missing[0]}; predict all images of the split'
        )
    pairs = [(entry, found[key(entry)]) for entry in truth.annotations]
    if not pairs:
        raise errors.InputError(f'{truth.path} has no annotation')
    _check_files([str(prediction.folder / predicted['file_name']) for _, predicted in pairs])
    return pairs


def _check_files(paths: Sequence[str]) -> None:
    missing = [path for path in paths if not os.path.isfile(path)]
    if missing:
        raise errors.InputError(
            f'{len(missing)} of {len(paths)} predicted PNGs are missing, first {missing[0]}; predict again'
        )


def _announce(evaluator: str, number: int) -> None:
    print(f'panpipe score: {evaluator} looks at {number} images', file=sys.stderr, flush=True)


if __name__ == '__main__':
    sys.exit(main())
