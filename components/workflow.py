# SPDX-License-Identifier: Apache-2.0
"""Compiles the Kubeflow pipeline, runs it here without a cluster, or submits it to one."""

import argparse
import functools
import pathlib
import sys
from collections.abc import Sequence

from panpipe.components import console, experiment, local, metrics, pipeline, submission
from panpipe.model import errors
from panpipe.model.jobs import command_line, outputs

_EXAMPLES = (
    'panpipe workflow compile --output build/pipeline.yaml --accelerator nvidia.com/gpu=1',
    'panpipe workflow run --dataset cityscapes_panoptic --config FILE.textproto --output build/demo',
    'panpipe workflow run --dataset coco_panoptic --raw_data DIR --config FILE.textproto --output build/coco',
    'panpipe workflow submit --endpoint http://localhost:8080 --config FILE.textproto raw_data=gs://BUCKET/DIR',
)

_CONFIG_HELP = 'a .textproto file, or the name of a shipped one; for toy data there is a default'


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the job and returns its exit status."""
    arguments = _parser().parse_args(argv)
    return command_line.run('workflow', functools.partial(arguments.body, arguments))


def _parser() -> argparse.ArgumentParser:
    parser = command_line.parser('workflow', __doc__ or '', _EXAMPLES)
    actions = parser.add_subparsers(required=True, metavar='compile|run|submit')
    _add_compile(actions.add_parser('compile', help='write the pipeline as YAML'))
    _add_run(actions.add_parser('run', help='run the whole pipeline on this machine, without a cluster'))
    _add_submit(actions.add_parser('submit', help='start a run on a cluster'))
    return parser


def _add_compile(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('--output', default='manifests/pipeline.yaml', help='file to write (%(default)s)')
    parser.add_argument('--image', default=pipeline.Cluster.image, help='container image (%(default)s)')
    parser.add_argument('--accelerator', default='', metavar='RESOURCE=N', help='for train and predict')
    parser.add_argument('--node_selector', action='append', default=[], metavar='LABEL=VALUE')
    parser.add_argument(
        '--volume', action='append', default=[], metavar='CLAIM=FOLDER', help='for every step'
    )
    parser.set_defaults(body=_compile)


def _add_run(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('--dataset', default='cityscapes_panoptic', help='key or .json file (%(default)s)')
    parser.add_argument('--config', default='', help=_CONFIG_HELP)
    parser.add_argument('--output', required=True, type=pathlib.Path, help='folder for all results')
    parser.add_argument('--raw_data', default='', help='raw data set; without it a toy one is made')
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
    parser.add_argument('parameters', nargs='*', metavar='NAME=VALUE', help='pipeline parameters')
    parser.set_defaults(body=_submit)


def _compile(arguments: argparse.Namespace) -> None:
    outputs.check_file('--output', arguments.output)
    name, separator, number = arguments.accelerator.partition('=')
    if arguments.accelerator and not (name and separator and number.isdecimal() and int(number)):
        raise errors.InputError(
            f'--accelerator {arguments.accelerator}: write RESOURCE=N, N a number of 1 or more'
        )
    cluster = pipeline.Cluster(
        image=arguments.image,
        accelerator=name,
        accelerators=int(number or 1),
        node_selector=submission.pairs('--node_selector', arguments.node_selector),
        volumes=submission.pairs('--volume', arguments.volume),
    )
    outputs.write_whole(arguments.output, pipeline.compiled(cluster).encode())
    print(f'wrote {arguments.output}')


def _run(arguments: argparse.Namespace) -> None:
    outputs.check_folder('--output', arguments.output)
    text = _config(arguments.config, arguments.dataset, arguments.raw_data)
    names = ('dataset', 'mode', 'train_split', 'val_split', 'toy_images', 'toy_height', 'toy_width')
    parameters = {name: getattr(arguments, name) for name in names}
    parameters |= {'config': text, 'overrides': arguments.set}
    patterns = experiment.patterns(arguments.dataset, 'records', arguments.train_split, arguments.val_split)
    experiment.read(text, [*patterns, *arguments.set], arguments.config or '--config')  # before any work
    parameters['raw_data'] = _absolute(arguments.raw_data)
    steps = local.run(pipeline.compiled(pipeline.Cluster()), parameters, arguments.output)
    _summarize(steps, arguments.output)


def _config(name: str, dataset: str, raw_data: str) -> str:
    if raw_data and not name:
        raise errors.InputError('--config is missing; the shipped toy configurations fit toy data only')
    return experiment.source(name or experiment.toy(dataset))


def _absolute(raw_data: str) -> str:
    if not raw_data or '://' in raw_data:
        return raw_data
    if not pathlib.Path(raw_data).is_dir():
        raise errors.InputError(f'--raw_data {raw_data} is no folder; give the root of the raw data set')
    return str(pathlib.Path(raw_data).absolute())


def _summarize(steps: Sequence[console.Step], output: pathlib.Path) -> None:
    print('\nstep           seconds')
    for step in steps:
        print(f'{step.name:<12}{step.seconds:>10.1f}')
    print(f'{"total":<12}{sum(step.seconds for step in steps):>10.1f}')
    print('\n' + metrics.table(str(output / 'score.json')))
    print(f'report: {output / "report.html"}')


def _submit(arguments: argparse.Namespace) -> None:
    path = arguments.pipeline
    document = experiment.read_text(path) if path else pipeline.compiled(pipeline.Cluster())
    values = submission.parameters(document, arguments.parameters)
    dataset = values.get('dataset', 'cityscapes_panoptic')
    values['config'] = _config(arguments.config, dataset, values.get('raw_data', ''))
    run = submission.Run(arguments.experiment, arguments.run_name, values)
    print(submission.submit(arguments.endpoint, document, run))


if __name__ == '__main__':
    sys.exit(main())
