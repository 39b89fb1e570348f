# SPDX-License-Identifier: Apache-2.0
"""Checks and compiles the Kubeflow pipeline, runs it here without a cluster, or submits it to one."""

import argparse
import functools
import pathlib
import sys
import time
from collections.abc import Sequence
from typing import Any

from panpipe.components import (
    checks,
    cluster_options,
    compilation,
    console,
    experiment,
    findings,
    finished,
    listing,
    local,
    metrics,
    submission,
)
from panpipe.model import errors
from panpipe.model.jobs import command_line, outputs
from panpipe.model.storage import addresses, files, lock, reach

_EXAMPLES = (
    'panpipe workflow check --config FILE.textproto --statistics statistics/statistics.json work=gs://BUCKET/DIR',
    'panpipe workflow compile --output build/gpu.yaml --image REGISTRY/panpipe:0.1.0 --profile gpu',
    'panpipe workflow run --dataset cityscapes_panoptic --config FILE.textproto --output build/demo',
    'panpipe workflow run --dataset coco_panoptic --raw_data DIR --config FILE.textproto --output build/coco',
    'panpipe workflow compile --output build/4.yaml --image R/panpipe:0.1.0 --profile gpu --train_workers 4',
    'panpipe workflow submit --endpoint URL --image REGISTRY/panpipe:0.1.0 --config FILE raw_data=/data',
)

_CONFIG_HELP = 'a .textproto file, or the name of a shipped one; for toy data there is a default'


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the job and returns its exit status."""
    arguments = _parser().parse_args(argv)
    return command_line.run('workflow', functools.partial(arguments.body, arguments))


def _parser() -> argparse.ArgumentParser:
    parser = command_line.parser('workflow', __doc__ or '', _EXAMPLES)
    actions = parser.add_subparsers(required=True, metavar='check|compile|run|submit')
    _add_check(actions.add_parser('check', help='look at parameters, configuration, places and image'))
    _add_compile(actions.add_parser('compile', help='write the pipeline as YAML'))
    _add_run(actions.add_parser('run', help='run the whole pipeline on this machine, without a cluster'))
    _add_submit(actions.add_parser('submit', help='start a run on a cluster'))
    return parser


def _add_check(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('--config', default='', help=_CONFIG_HELP)
    parser.add_argument(
        '--pipeline', default='', metavar='FILE', help='compiled pipeline, whose images count'
    )
    parser.add_argument(
        '--statistics', default='', metavar='FILE', help='statistics.json of the data, to compare with'
    )
    cluster_options.add(parser)
    parser.add_argument('parameters', nargs='*', metavar='NAME=VALUE', help='pipeline parameters')
    parser.set_defaults(body=_check)


def _add_compile(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('--output', default='manifests/pipeline.yaml', help='file to write (%(default)s)')
    cluster_options.add(parser)
    parser.set_defaults(body=_compile)


def _add_run(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('--dataset', default='cityscapes_panoptic', help='key or .json file (%(default)s)')
    parser.add_argument('--config', default='', help=_CONFIG_HELP)
    parser.add_argument('--output', required=True, help='folder for all results')
    parser.add_argument('--raw_data', default='', help='raw data set; without it a toy one is made')
    parser.add_argument(
        '--work', default='', help='folder for what is large, as on a cluster (default: OUTPUT)'
    )
    parser.add_argument(
        '--min_pq', type=float, default=0.0, help='end the run below this PQ (%(default)s: off)'
    )
    parser.add_argument('--no_cache', action='store_true', help='run every step, finished or not')
    parser.add_argument('--set', action='append', default=[], metavar='FIELD=VALUE', help='as panpipe train')
    parser.add_argument('--mode', choices=('train', 'train_and_eval'), default='train')
    parser.add_argument('--train_split', default='train')
    parser.add_argument('--val_split', default='val')
    for name, default in (('images', 24), ('height', 256), ('width', 512)):
        parser.add_argument(f'--toy_{name}', type=int, default=default, help='of the toy data (%(default)s)')
    parser.set_defaults(body=_run)


def _add_submit(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('--endpoint', required=True, metavar='URL', help='of Kubeflow Pipelines')
    parser.add_argument('--config', default='', help=_CONFIG_HELP)
    parser.add_argument(
        '--pipeline', default='', metavar='FILE', help='compiled pipeline; default: compile now'
    )
    parser.add_argument('--experiment', default='panpipe', help='experiment to put the run in (%(default)s)')
    parser.add_argument('--run_name', default=None, help='default: made of name and time')
    parser.add_argument('--no_cache', action='store_true', help='run every step, cached or not')
    parser.add_argument('--service_account', default='', help='of Kubernetes, for every step')
    cluster_options.add(parser)
    parser.add_argument('parameters', nargs='*', metavar='NAME=VALUE', help='pipeline parameters')
    parser.set_defaults(body=_submit)


def _compile(arguments: argparse.Namespace) -> None:
    outputs.check_file('--output', arguments.output)
    if arguments.image:
        _refuse(findings.show([checks.named(arguments.image)]))
    document = compilation.compiled(cluster_options.read(arguments))
    files.write_whole(arguments.output, document.encode())
    print(f'wrote {arguments.output}')


def _run(arguments: argparse.Namespace) -> None:
    output = pathlib.Path(_local('--output', arguments.output))
    outputs.check_folder('--output', output)
    text = _config(arguments.config, arguments.dataset, arguments.raw_data)
    names = ('dataset', 'mode', 'min_pq', 'train_split', 'val_split')
    parameters = {
        name: getattr(arguments, name) for name in (*names, 'toy_images', 'toy_height', 'toy_width')
    }
    parameters |= {'config': text, 'overrides': arguments.set}
    patterns = experiment.patterns(arguments.dataset, 'records', arguments.train_split, arguments.val_split)
    experiment.read(text, [*patterns, *arguments.set], arguments.config or '--config')  # before any work
    parameters['raw_data'] = _absolute(arguments.raw_data)
    parameters['work'] = arguments.work if addresses.is_remote(arguments.work) else _whole(arguments.work)
    facts = {'data': listing.digest(parameters['raw_data']), 'code': finished.code()}
    if arguments.no_cache:
        facts['time'] = str(time.time())
    document = compilation.compiled(compilation.Cluster(has_summary=False))
    with lock.held(lock.beside(output), 'workflow run'):
        steps = local.run(document, parameters, output, facts)
    _summarize(steps, output)


def _local(option: str, path: str) -> str:
    """Refuses an address where only a folder of this machine serves."""
    addresses.check(option, path)
    if addresses.is_remote(path):
        raise errors.InputError(
            f'{option} {path}: give a folder of this machine, where steps run; what is large goes to --work'
        )
    return path


def _config(name: str, dataset: str, raw_data: str) -> str:
    if raw_data and not name:
        raise errors.InputError('--config is missing; the shipped toy configurations fit toy data only')
    return experiment.source(name or experiment.toy(dataset))


def _absolute(raw_data: str) -> str:
    reach.check('--raw_data', raw_data)
    if not raw_data or addresses.is_remote(raw_data):
        return raw_data
    if not pathlib.Path(raw_data).is_dir():
        raise errors.InputError(f'--raw_data {raw_data} is no folder; give the root of the raw data set')
    return _whole(raw_data)


def _whole(path: str) -> str:
    return str(pathlib.Path(path).absolute()) if path else ''


def _summarize(steps: Sequence[console.Step], output: pathlib.Path) -> None:
    made: dict[str, list[str]] = {}
    for place, (name, _) in local.PLACES.items():
        if (output / place).exists():
            made.setdefault(name, []).append(place)
    print(f'\nstep           seconds   in {output}')
    for step in steps:
        seconds = 'kept' if step.is_kept else f'{step.seconds:.1f}'
        print(f'{step.name:<12}{seconds:>10}   {", ".join(made.get(step.name, []))}')
    print(f'{"total":<12}{sum(step.seconds for step in steps):>10.1f}   summary.md, logs')
    print('\n' + metrics.table(str(output / 'score.json')))
    print(f'report: {output / "report.html"}')


def _check(arguments: argparse.Namespace) -> None:
    document, values = _planned(arguments)
    images = submission.images(document, arguments.image)
    _refuse(findings.show(checks.examine(values, images, arguments.statistics)))


def _refuse(bad: Sequence[str]) -> None:
    if bad:
        raise errors.InputError(f'not ready: {", ".join(bad)}; see the table above')


def _planned(arguments: argparse.Namespace) -> tuple[str, dict[str, Any]]:
    """Returns the pipeline and the values of its parameters."""
    path = arguments.pipeline
    document = experiment.read_text(path) if path else compilation.compiled(cluster_options.read(arguments))
    values = submission.parameters(document, arguments.parameters)
    dataset = values.get('dataset', 'cityscapes_panoptic')
    if arguments.train_workers and not values.get('work'):
        raise errors.InputError(
            '--train_workers needs the parameter work: a folder of a volume that all pods mount, or an '
            'address'
        )
    # As a shell's "$(cat FILE)" gives it, so that both ways of starting a run share what is cached.
    values['config'] = _config(arguments.config, dataset, values.get('raw_data', '')).rstrip('\n')
    return document, values


def _submit(arguments: argparse.Namespace) -> None:
    document, values = _planned(arguments)
    document = submission.pullable(document, arguments.image)
    found = checks.examine(values, submission.images(document))
    doubts = [finding for finding in found if finding.state != 'ok']
    _refuse(findings.show(doubts) if doubts else [])
    if arguments.no_cache:
        document = submission.uncached(document)
    run = submission.Run(arguments.experiment, arguments.run_name, values, arguments.service_account)
    print(submission.submit(arguments.endpoint, document, run))


if __name__ == '__main__':
    sys.exit(main())
