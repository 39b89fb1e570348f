# SPDX-License-Identifier: Apache-2.0
"""Makes one self-contained HTML page: official numbers, pictures, classes, curves, configuration."""

import argparse
import functools
import importlib.metadata
import importlib.resources
import json
import pathlib
import platform
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import jinja2

from panpipe.model import datasets, errors, jobs
from panpipe.pipelines import curves, gallery

_EXAMPLES = (
    'panpipe report --dataset cityscapes_panoptic --ground_truth RAW --predictions build/predictions '
    '--output report.html',
    'panpipe report --dataset coco_panoptic --ground_truth RAW --predictions P --score score.json '
    '--run_dir runs/first --output report.html',
)
_PACKAGES = ('panpipe', 'tensorflow', 'keras', 'apache-beam', 'tensorflow-transform', 'kfp', 'numpy')
_MEASURES = {'pq': 'PQ', 'sq': 'SQ', 'rq': 'RQ', 'iou': 'IoU'}


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the job and returns its exit status."""
    parser = jobs.parser('report', __doc__ or '', _EXAMPLES)
    parser.add_argument('--dataset', required=True, help='for example cityscapes_panoptic')
    parser.add_argument('--ground_truth', required=True, type=pathlib.Path, help='root of the raw data set')
    parser.add_argument('--split', default='val', help='of the predicted images (%(default)s)')
    parser.add_argument('--predictions', required=True, type=pathlib.Path, help='folder that predict wrote')
    parser.add_argument('--score', type=pathlib.Path, help='file that score wrote')
    parser.add_argument('--run_dir', type=pathlib.Path, help='folder of the training run, for its curves')
    parser.add_argument('--statistics', type=pathlib.Path, help='statistics.json of the training records')
    parser.add_argument('--config', type=pathlib.Path, help='experiment to show, a .textproto file')
    parser.add_argument('--pictures', type=int, default=6, help='rows of the gallery (%(default)s)')
    parser.add_argument('--output', required=True, type=pathlib.Path, help='HTML file to write')
    return jobs.run('report', functools.partial(_write, parser.parse_args(argv)))


def render(facts: Mapping[str, Any]) -> str:
    """Fills the page's template; a name that the template needs and `facts` lacks is an error."""
    text = importlib.resources.files('panpipe.pipelines').joinpath('templates', 'report.html').read_text()
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.from_string(text).render(facts)


def tiles(score: Mapping[str, Any]) -> list[dict[str, str]]:
    """Lists the numbers at the top of the page from the content of a score file, in per cent."""
    found = []
    for measure, group in (('pq', 'all'), ('sq', 'all'), ('rq', 'all'), ('pq', 'things'), ('pq', 'stuff')):
        value = score.get(measure, {}).get(group)
        if value is not None:
            name = measure.upper() + ('' if group == 'all' else f' {group}')
            found.append({'name': name, 'value': f'{value:.1f}', 'note': 'per cent'})
    if score.get('miou') is not None:
        found.append({'name': 'mIoU', 'value': f'{score["miou"]:.1f}', 'note': 'per cent'})
    return found


def _write(arguments: argparse.Namespace) -> None:
    if arguments.pictures < 0:
        raise errors.InputError(f'--pictures is {arguments.pictures}; give 0 or more')
    page = render(_facts(arguments, datasets.find(arguments.dataset)))
    output: pathlib.Path = arguments.output
    output.parent.mkdir(parents=True, exist_ok=True)
    aside = output.with_name(f'{output.name}.partial')
    aside.write_text(page)
    aside.replace(output)
    print(f'wrote {output} ({len(page) / 1e6:.1f} MB)')


def _facts(arguments: argparse.Namespace, spec: datasets.DatasetSpec) -> dict[str, Any]:
    score = _read_json(arguments.score)
    rows = gallery.rows(
        arguments.ground_truth, arguments.split, arguments.predictions, spec, arguments.pictures
    )
    scalars = curves.read(arguments.run_dir) if arguments.run_dir else []
    seconds, speed = curves.duration(scalars)
    seen = frozenset[int]().union(*(row.classes for row in rows))
    return {
        'title': f'Panoptic segmentation of {spec.name}',
        'subtitle': f'Split {arguments.split}' + (f'; judged by {score["evaluator"]}' if score else ''),
        'tiles': tiles(score),
        'rows': rows,
        'legend': [category for category in spec.categories if category.id in seen],
        'measures': list(_MEASURES.values()),
        'classes': _classes(score, spec),
        'plots': curves.plots(scalars),
        'training': f'{seconds:.0f} s between first and last summary, {speed:.2f} steps a second',
        'statistics': _read_json(arguments.statistics),
        'config': _read(arguments.config),
        'config_name': arguments.config.name if arguments.config else '',
        'versions': _versions(),
    }


def _classes(score: Mapping[str, Any], spec: datasets.DatasetSpec) -> list[dict[str, Any]]:
    """Lists the classes that occur, with the measures of `_MEASURES` in per cent or None."""
    figures = score.get('per_class', {})
    return [
        {
            'name': category.name,
            'color': category.color,
            'values': [figures[category.name].get(measure) for measure in _MEASURES],
        }
        for category in spec.categories
        if category.name in figures
    ]


def _versions() -> dict[str, str]:
    installed = {'python': platform.python_version()}
    for name in _PACKAGES:
        installed[name] = importlib.metadata.version(name)
    return installed


def _read(path: pathlib.Path | None) -> str:
    if path is None:
        return ''
    try:
        return path.read_text()
    except OSError as error:
        raise errors.InputError(f'cannot read {path}: {error.strerror}') from error


def _read_json(path: pathlib.Path | None) -> dict[str, Any]:
    try:
        content: dict[str, Any] = json.loads(_read(path) or '{}')
    except ValueError as error:
        raise errors.InputError(f'{path} is not JSON ({error}); give a file that a job wrote') from error
    return content


if __name__ == '__main__':
    sys.exit(main())
