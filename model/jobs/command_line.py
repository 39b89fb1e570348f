# SPDX-License-Identifier: Apache-2.0
"""The frame that every job shares: command line, quiet start, exit status."""

import argparse
import contextlib
import os
import select
import signal
import sys
import textwrap
import threading
from collections.abc import Callable, Iterator, Sequence

from panpipe.model import errors
from panpipe.model.jobs import environment

_TERMINATED = 128 + signal.SIGTERM
_OUTPUT = 1  # its file descriptor
_PIPE_CLOSED = 128 + signal.SIGPIPE
_SECONDS_TO_END = 10.0


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
        help='fail if a file of the data set would be left out, such as a broken link',
    )
    parser.add_argument(
        '--max_megapixels',
        type=int,
        metavar='N',
        help='largest image that is accepted, in millions of pixels (default: 500)',
    )


def run(job: str, body: Callable[[], None]) -> int:
    """Runs the body of a job and returns its exit status: 0 done, 1 failed, 2 for a user's mistake.

    SIGTERM, as schedulers send it, ends the job like Ctrl-C: what it began is cleaned up or kept for the next
    run, and the status is 143. Where nobody reads on what it prints, as after `| head`, it ends with 141.

    A mistake (`InputError`), a foreseen failure (`JobError`) or one of the machine (a full disk, say) becomes
    one line on standard error; the last counts as a mistake. Anything else is a fault of the program: it
    passes through, and Python exits with 1 and a traceback.
    """
    silence_tensorflow()
    try:
        with _terminable(job):
            body()
            sys.stdout.flush()  # fails here, where it can be told
    except BrokenPipeError:
        if not _is_unread():
            raise
        os.dup2(os.open(os.devnull, os.O_WRONLY), _OUTPUT)  # for what Python still has to write
        return _PIPE_CLOSED
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


def _is_unread() -> bool:
    """Returns whether nobody reads what is printed any more, as after `| head`."""
    looked = select.poll()
    looked.register(_OUTPUT, 0)
    return any(found & select.POLLERR for _, found in looked.poll(0))


@contextlib.contextmanager
def _terminable(job: str) -> Iterator[None]:
    """Turns SIGTERM into SystemExit in the main thread while the block runs."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    asked = threading.Event()

    def end(number: int, frame: object) -> None:
        del number, frame
        asked.set()
        print(f'panpipe {job}: terminated; the same command goes on where this one stopped', file=sys.stderr)
        # Threads that wait for ever must not keep the process.
        timer = threading.Timer(_SECONDS_TO_END, os._exit, [_TERMINATED])
        timer.daemon = True
        timer.start()
        raise SystemExit(_TERMINATED)

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    except BaseException:
        if asked.is_set():  # whatever a runner made of it
            raise SystemExit(_TERMINATED) from None
        raise
    finally:
        signal.signal(signal.SIGTERM, before)


def silence_tensorflow() -> None:
    """Keeps TensorFlow's start-up notes off the console; must run before TensorFlow is imported."""
    os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '2')
