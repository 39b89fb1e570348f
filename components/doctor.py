# SPDX-License-Identifier: Apache-2.0
"""Checks this environment and, on request, a configuration: what is there, what is missing, and the cure."""

import argparse
import functools
import glob
import importlib.metadata
import json
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence

import packaging.requirements

from panpipe.components import experiment, findings
from panpipe.components.findings import Finding
from panpipe.model import config, errors
from panpipe.model.jobs import command_line
from panpipe.pipelines.scoring import official_python

_EXAMPLES = ('panpipe doctor', 'panpipe doctor --config experiment.textproto')


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the job and returns its exit status: 1 where something is unusable."""
    parser = command_line.parser('doctor', __doc__ or '', _EXAMPLES)
    parser.add_argument(
        '--config', default='', help='experiment to check, a .textproto file or a shipped name'
    )
    parser.add_argument('--set', action='append', default=[], metavar='FIELD=VALUE', help='as panpipe train')
    return command_line.run('doctor', functools.partial(_examine, parser.parse_args(argv)))


def packages(name: str = 'panpipe') -> Iterator[Finding]:
    """Compares the installed packages with what a distribution requires."""
    for entry in importlib.metadata.requires(name) or ():
        wanted = packaging.requirements.Requirement(entry)
        if wanted.marker and not wanted.marker.evaluate({'extra': ''}):
            continue
        try:
            found = importlib.metadata.version(wanted.name)
        except importlib.metadata.PackageNotFoundError:
            yield Finding(wanted.name, 'bad', f'missing; pip install "{wanted.name}{wanted.specifier}"')
            continue
        is_right = wanted.specifier.contains(found, prereleases=True)
        cure = '' if is_right else f', but {wanted.specifier} is needed; pip install "{entry}"'
        yield Finding(wanted.name, 'ok' if is_right else 'bad', found + cure)


def machine() -> Iterator[Finding]:
    """Looks at interpreter, processors and programs."""
    yield Finding('python', 'ok', f'{platform.python_version()} on {platform.machine()}')
    yield Finding('processors', 'ok', str(os.cpu_count()))
    compiler = shutil.which('g++')
    yield Finding(
        'g++', 'ok' if compiler else 'warn', compiler or 'missing; apt-get install g++ to build the op'
    )


def tensorflow(settings: config.Experiment | None = None) -> Iterator[Finding]:
    """Starts TensorFlow once; looks for accelerators and the compiled op.

    Args:
      settings: of an experiment, whose network it builds.

    Raises:
      errors.InputError: the network cannot be built.
    """
    text = config.dumps(settings) if settings else ''
    # A library that does not fit may abort the process that loads it.
    command = [sys.executable, '-m', 'panpipe.model.probe']
    probe = subprocess.run(command, input=text, capture_output=True, text=True)
    if probe.returncode:
        last = (probe.stderr.strip().splitlines() or [f'status {probe.returncode}'])[-1]
        yield Finding('start of TensorFlow', 'bad', f'{last}; reinstall tensorflow, or rebuild the op')
        return
    facts = json.loads(probe.stdout.splitlines()[-1])
    if facts['mistake']:
        raise errors.InputError(facts['mistake'])
    if settings:
        yield Finding('network', 'ok', f'can be built, {facts["parameters"] / 1e6:.1f} million parameters')
    found = ', '.join(facts['accelerators'])
    yield Finding('accelerators', 'ok' if found else 'warn', found or 'none; training runs on the processors')
    if facts['op_mistake']:
        yield Finding('compiled op', 'bad', facts['op_mistake'])
        return
    cure = 'not built, the slower TensorFlow version runs; python -m panpipe.custom_ops.build'
    yield Finding('compiled op', 'ok' if facts['has_op'] else 'warn', 'loads' if facts['has_op'] else cure)


def evaluators() -> Finding:
    """Looks for the interpreter of the official evaluators."""
    try:
        return Finding('official evaluators', 'ok', official_python.interpreter())
    except errors.InputError as error:
        return Finding('official evaluators', 'warn', str(error))


def read(name: str, overrides: Sequence[str]) -> config.Experiment:
    """Reads a configuration.

    Raises:
      errors.InputError: it cannot be read, or it contradicts itself.
    """
    settings = config.loads(experiment.source(name), name, overrides)
    config.check(settings)
    return settings


def configuration(settings: config.Experiment) -> Iterator[Finding]:
    """Looks at a configuration that could be read: what it advises, and whether its records are there."""
    yield Finding('configuration', 'ok', 'can be read, and its values agree')
    if not settings.experiment_name:
        cure = 'train refuses that; set it: --set experiment_name=first'
        yield Finding('experiment_name', 'warn', f'empty, {cure}')
    for line in config.advice(settings):
        yield Finding('advice', 'warn', line)
    for options in (settings.train_dataset_options, settings.eval_dataset_options):
        for pattern in options.file_pattern:
            yield _records(pattern)


def _records(pattern: str) -> Finding:
    if '://' in pattern:
        return Finding('records', 'ok', f'{pattern}: not looked at')
    number = len(glob.glob(pattern))
    cure = '' if number else '; run panpipe convert, or set the file_pattern'
    return Finding('records', 'ok' if number else 'warn', f'{pattern}: {number} files{cure}')


def _examine(arguments: argparse.Namespace) -> None:
    settings = read(arguments.config, arguments.set) if arguments.config else None
    told = configuration(settings) if settings else ()
    found = [*told, *machine(), *packages(), *tensorflow(settings), evaluators()]
    bad = findings.show(found)
    if bad:
        raise errors.JobError(f'unusable: {", ".join(bad)}; see the table above')


if __name__ == '__main__':
    sys.exit(main())
