# SPDX-License-Identifier: Apache-2.0
"""Makes one self-contained HTML page: numbers, pictures, classes, confusions, curves, configuration.

The page needs no network. Our own evaluation (intervals, sizes, quality of images) comes from --evaluation,
or made here.
"""

import argparse
import functools
import importlib.metadata
import importlib.resources
import pathlib
import platform
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import jinja2
import numpy as np

from panpipe.model import datasets, errors
from panpipe.model.drawing import error_maps
from panpipe.model.jobs import command_line, outputs, progress
from panpipe.model.metrics import results, tally
from panpipe.model.storage import copies, files, lock, manifest
from panpipe.pipelines.record_files import lookup
from panpipe.pipelines.reporting import charts, curves, gallery, inputs, slots
from panpipe.pipelines.scoring import evaluation

_EXAMPLES = (
    'panpipe report --dataset cityscapes_panoptic --ground_truth RAW --predictions build/predictions '
    '--output report.html',
    'panpipe report --dataset coco_panoptic --ground_truth RAW --predictions P --score score.json '
    '--run_dir runs/first --output report.html',
)
# Options that name what is read.
_INPUTS = (
    'ground_truth',
    'predictions',
    'score',
    'evaluation',
    'oracles',
    'records',
    'run_dir',
    'slots',
    'statistics',
    'config',
)
_PACKAGES = ('panpipe', 'tensorflow', 'keras', 'apache-beam', 'tensorflow-transform', 'kfp', 'numpy')
_MEASURES = {'pq': 'PQ', 'sq': 'SQ', 'rq': 'RQ', 'iou': 'IoU'}
_TILES = (('pq', 'all'), ('sq', 'all'), ('rq', 'all'), ('pq', 'things'), ('pq', 'stuff'))
_GROUPS = ('worst', 'best', 'random')


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the job and returns its exit status."""
    parser = command_line.parser('report', __doc__ or '', _EXAMPLES)
    parser.add_argument(
        '--dataset', help='name of a data set, or its .json description (default: that of --records)'
    )
    parser.add_argument('--ground_truth', required=True, help='root of the raw data set')
    parser.add_argument('--split', default='val', help='split that was predicted (default: %(default)s)')
    parser.add_argument('--predictions', required=True, help='folder that predict wrote')
    parser.add_argument('--score', help='file that score wrote')
    parser.add_argument('--evaluation', help='file that evaluate wrote')
    parser.add_argument('--oracles', help='file that oracles wrote')
    parser.add_argument('--records', help='folder that convert wrote: the page names it as the training data')
    parser.add_argument('--run_dir', help='folder of the training run, for its curves')
    parser.add_argument('--slots', help="folder `slots` of a mask transformer's run: what its slots hold")
    parser.add_argument('--statistics', help='statistics.json of the training records')
    parser.add_argument('--config', help='experiment to show, a .textproto file')
    parser.add_argument(
        '--pictures', type=int, default=12, help='number of images in the gallery (default: %(default)s)'
    )
    parser.add_argument('--output', required=True, help='HTML file to write')
    job = functools.partial(copies.run, _write, parser.parse_args(argv), _INPUTS, kind=pathlib.Path)
    return command_line.run('report', job)


def render(facts: Mapping[str, Any]) -> str:
    """Fills the page's template; a name that the template needs and `facts` lacks is an error."""
    text = (
        importlib.resources.files('panpipe.pipelines.reporting')
        .joinpath('templates', 'report.html')
        .read_text()
    )
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.from_string(text).render(facts)


def tiles(score: results.Result, evaluated: results.Result) -> list[dict[str, str]]:
    """Lists the numbers at the top of the page, in per cent.

    Args:
      score: of the score job, or our own where there is none.
      evaluated: of the evaluate job, for intervals and boundaries.
    """
    found = []
    for measure, group in _TILES:
        name = measure.upper() + ('' if group == 'all' else f' {group}')
        note = _interval(evaluated, group) if measure == 'pq' else 'per cent'
        found.append((name, getattr(getattr(score, measure), group), note))
    edges = evaluated.boundary_pq and evaluated.boundary_pq.all
    found.append(('boundary PQ', edges, 'per cent, outlines count'))
    found.append(('mIoU', score.miou, _interval(evaluated, 'miou')))
    for key, name in (('ap', 'AP'), ('ap50', 'AP 50')):
        found.append((name, getattr(score.instance, key, None), 'per cent, masks'))
    return [
        {'name': name, 'value': f'{value:.1f}', 'note': note}
        for name, value, note in found
        if value is not None
    ]


def comparison(score: results.Result) -> list[dict[str, Any]]:
    """Lists official numbers with our own of the same files, in per cent."""
    ours, difference = score.ours or results.Means(), score.difference or results.Means()
    rows = [('mIoU', score.miou, ours.miou, difference.miou)]
    for measure in reversed(results.MEASURES):
        for group in reversed(results.GROUPS):
            parts = (getattr(part, measure) or results.NOTHING for part in (score, ours, difference))
            rows.insert(0, (f'{measure.upper()} {group}', *(getattr(part, group) for part in parts)))
    names = ('name', 'official', 'own', 'difference')
    return [dict(zip(names, row, strict=True)) for row in rows if row[2] is not None]


def _interval(evaluated: results.Result, name: str) -> str:
    """Writes the confidence interval of a measure in words: PQ of a group of classes, or 'miou'."""
    intervals = evaluated.intervals
    if intervals is None:
        return 'per cent'
    interval = intervals.miou if name == 'miou' else intervals.pq.get(name)
    if interval is None:
        return 'per cent'
    return f'{interval[0]:.1f} to {interval[1]:.1f} ({intervals.level} %)'


def _write(arguments: argparse.Namespace) -> None:
    if arguments.pictures < 0:
        raise errors.InputError(f'--pictures is {arguments.pictures}; give 0 or more')
    outputs.check_file('--output', arguments.output)
    with lock.held(lock.beside(arguments.given.output), 'report'):
        page = render(_facts(arguments, _dataset(arguments)))
        files.write_whole(arguments.output, page.encode())
    print(f'wrote {arguments.given.output} ({len(page) / 1e6:.1f} MB)')


def _dataset(arguments: argparse.Namespace) -> datasets.DatasetSpec:
    paths = [str(arguments.records / manifest.NAME)] if arguments.records else []
    found = lookup.dataset(paths, arguments.dataset)
    if found is None and arguments.dataset:
        return datasets.find(arguments.dataset)
    if found is None:
        raise errors.InputError('--dataset is missing; name the data set, or give the --records of one')
    return found


def _facts(arguments: argparse.Namespace, spec: datasets.DatasetSpec) -> dict[str, Any]:
    given = inputs.read(vars(arguments))
    score = given.score
    shown = gallery.Gallery.open(arguments.ground_truth, arguments.split, arguments.predictions, spec)
    evaluated, images = given.evaluation or _evaluate(shown)
    measure = 'pq' if any(image.pq is not None for image in images) else 'miou'
    known = {image.image_id: getattr(image, measure) for image in images}
    worth = {name: known.get(name) for name in shown.images}
    cards = [
        shown.card(name, group, worth[name]) for name, group in gallery.choose(worth, arguments.pictures)
    ]
    scalars = curves.read(arguments.run_dir) if arguments.run_dir else []
    seconds, speed = curves.duration(scalars)
    seen, judge = frozenset[int]().union(*(card.classes for card in cards)), _judge(score)
    return {
        'title': f'Panoptic segmentation of {spec.name}',
        'subtitle': f'Split {arguments.split}, {len(shown.images)} images; judged by {judge}',
        'tiles': tiles(score or evaluated, evaluated),
        'comparison': comparison(score or evaluated),
        'measure': measure.upper().replace('MIOU', 'mIoU'),
        'cards': cards,
        'groups': {name: [card for card in cards if card.group == name] for name in _GROUPS},
        'legend': [category for category in spec.categories if category.id in seen],
        'error_legend': {
            name: tuple(error_maps.COLORS[error].tolist()) for error, name in error_maps.NAMES.items()
        },
        'sizes': {name: row for name, row in (evaluated.by_size or {}).items() if row.pq is not None},
        'oracles': given.oracles,
        'measures': list(_MEASURES.values()),
        'bar': list(_MEASURES).index('pq' if measure == 'pq' else 'iou'),
        'classes': _classes(score or evaluated, spec),
        'pictured': {
            category.name: next((card.name for card in cards if category.id in card.classes), '')
            for category in spec.categories
        },
        'confusion': _confusion(evaluated.confusion),
        'slots': slots.read(arguments.slots, spec),
        'plots': curves.plots(scalars),
        'training': f'{seconds:.0f} s between first and last summary, {speed:.2f} steps a second',
        'statistics': given.statistics,
        'config': given.config,
        'config_name': arguments.config.name if arguments.config else '',
        'data': given.data,
        'versions': _versions(),
    }


def _judge(score: results.Result | None) -> str:
    return score.evaluator if score else 'panpipe'


def _evaluate(shown: gallery.Gallery) -> evaluation.Figures:
    """Evaluates all images here, as the evaluate job does."""
    total = tally.Tally.zero(shown.spec.labels)
    with progress.bar('report', len(shown.images)) as advance:
        for number, name in enumerate(shown.images, 1):
            total += shown.judge(name)
            advance(number, '')
    return evaluation.figures(total, shown.spec, evaluation.Judged('panpipe'))


def _confusion(counted: results.Confusion | None) -> str:
    """Draws the matrix of an evaluation, if it has one."""
    return charts.confusion(np.array(counted.counts), counted.classes) if counted else ''


def _classes(score: results.Result, spec: datasets.DatasetSpec) -> list[dict[str, Any]]:
    """Lists the classes that occur, with the measures of `_MEASURES` in per cent or None."""
    return [
        {
            'name': category.name,
            'color': category.color,
            'values': [getattr(score.per_class[category.name], measure) for measure in _MEASURES],
        }
        for category in spec.categories
        if category.name in score.per_class
    ]


def _versions() -> dict[str, str]:
    installed = {'python': platform.python_version()}
    for name in _PACKAGES:
        installed[name] = importlib.metadata.version(name)
    return installed


if __name__ == '__main__':
    sys.exit(main())
