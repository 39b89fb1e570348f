# SPDX-License-Identifier: Apache-2.0
"""The frame that every job shares: command line, quiet start, exit status."""

import argparse
import os
import sys
import textwrap
from collections.abc import Callable, Sequence

from panpipe.model import errors
from panpipe.model.jobs import environment


def parser(job: str, description: str, examples: Sequence[str]) -> argparse.ArgumentParser:
    """Makes the argument parser of `panpipe JOB`, whose help ends with `examples`, one command a line."""
    return argparse.ArgumentParser(
        prog=f'panpipe {job}',
        description=textwrap.dedent(description).strip(),
        epilog='examples:\n' + '\n'.join(f'  {line}' for line in examples),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def add_configuration(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments `--config` and `--set` of jobs that read an experiment."""
    parser.add_argument('--config', required=True, help='experiment, a DeepLab2 .textproto file')
    parser.add_argument(
        '--set',
        action='append',
        default=[],
        metavar='FIELD=VALUE',
        help='overrides a field of the configuration',
    )


def add_raw_data(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments `--strict` and `--max_megapixels` of jobs that read files of people's data sets."""
    parser.add_argument(
        '--strict',
        action='store_true',
        help='refuse a data set of which something is left out, such as a broken link',
    )
    parser.add_argument(
        '--max_megapixels', type=int, metavar='N', help='largest image that is taken (default: 500)'
    )


def run(job: str, body: Callable[[], None]) -> int:
    """Runs the body of a job and returns its exit status: 0 done, 1 failed, 2 for a user's mistake.

    A mistake (`InputError`), a foreseen failure (`JobError`) or one of the machine (a full disk, say) becomes
    one line on standard error; the last counts as a mistake. Anything else is a fault of the program: it
    passes through, and Python exits with 1 and a traceback.
    """
    silence_tensorflow()
    try:
        body()
    except (errors.InputError, errors.JobError) as error:
        print(f'panpipe {job}: error: {" ".join(str(error).split())}', file=sys.stderr)
        return 2 if isinstance(error, errors.InputError) else 1
    except Exception as error:
        reason = environment.told(error)
        if reason is None:
            raise
        print(f'panpipe {job}: error: {" ".join(reason.split())}', file=sys.stderr)
        return 2
    return 0


def silence_tensorflow() -> None:
    """Keeps TensorFlow's start-up notes off the console; must run before TensorFlow is imported."""
    os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '2')
