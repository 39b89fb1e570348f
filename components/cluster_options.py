# SPDX-License-Identifier: Apache-2.0
"""Command-line options for the resources of the steps on a cluster."""

import argparse

from panpipe.components import compilation, profiles, submission
from panpipe.model import errors


def add(parser: argparse.ArgumentParser) -> None:
    """Adds the options."""
    parser.add_argument('--image', default='', help='container image of every step, REGISTRY/panpipe:TAG')
    names = ', '.join(profiles.shipped())
    parser.add_argument(
        '--profile', default='', help=f'requests and limits of the steps: {names} or a .toml file of your own'
    )
    parser.add_argument(
        '--ask',
        action='append',
        default=[],
        metavar='STEP.FIELD=VALUE',
        help='instead of what the profile says',
    )
    parser.add_argument(
        '--accelerator', default='', metavar='RESOURCE=N', help='for train, evaluate and predict'
    )
    parser.add_argument(
        '--node_selector', action='append', default=[], metavar='LABEL=VALUE', help='for the same three'
    )
    parser.add_argument(
        '--toleration', action='append', default=[], metavar='KEY[=VALUE]:EFFECT', help='for the same three'
    )
    for option, metavar in (
        ('volume', 'CLAIM=FOLDER'),
        ('secret_env', 'SECRET.KEY=VARIABLE'),
        ('secret_volume', 'SECRET=FOLDER'),
    ):
        parser.add_argument(
            f'--{option}', action='append', default=[], metavar=metavar, help='for every step'
        )
    parser.add_argument(
        '--train_workers',
        type=int,
        default=0,
        metavar='N',
        help='let N pods train together, as a JobSet that the step creates; needs the parameter work',
    )
    parser.add_argument(
        '--no_summary', action='store_true', help='leave out the last task, which summarizes the run'
    )


def read(arguments: argparse.Namespace) -> compilation.Cluster:
    """Reads what `add` added.

    Raises:
      errors.InputError: an option is wrong.
    """
    needs = profiles.table(arguments.profile)
    if arguments.accelerator:
        needs = profiles.accelerate(needs, *_accelerator(arguments.accelerator))
    needs = profiles.select(needs, submission.pairs('--node_selector', arguments.node_selector))
    needs = profiles.tolerate(needs, arguments.toleration)
    return compilation.Cluster(
        image=arguments.image or compilation.Cluster.image,
        needs=profiles.override(needs, arguments.ask),
        volumes=submission.pairs('--volume', arguments.volume),
        secret_env=_secret_keys(arguments.secret_env),
        secret_volumes=submission.pairs('--secret_volume', arguments.secret_volume),
        has_summary=not arguments.no_summary,
        train_workers=_workers(arguments.train_workers),
    )


def _workers(number: int) -> int:
    if number < 0 or number == 1:
        raise errors.InputError(f'--train_workers {number}: give 2 or more, or leave it out')
    return number


def _accelerator(option: str) -> tuple[str, int]:
    name, _, number = option.partition('=')
    if not (name and number.isdecimal() and int(number)):
        raise errors.InputError(f'--accelerator {option}: write RESOURCE=N, N a number of 1 or more')
    return name, int(number)


def _secret_keys(entries: list[str]) -> dict[tuple[str, str], str]:
    found = {}
    for name, variable in submission.pairs('--secret_env', entries).items():
        secret, dot, key = name.partition('.')
        if not dot:
            raise errors.InputError(f'--secret_env {name}={variable}: write SECRET.KEY=VARIABLE')
        found[secret, key] = variable
    return found
