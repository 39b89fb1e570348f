# SPDX-License-Identifier: Apache-2.0
"""Keeps log messages of libraries off the console, so that it shows those of the jobs; errors still show."""

import contextlib
import logging
import os
import re
import sys
import tempfile
import warnings
from collections.abc import Iterator

from panpipe.model.jobs import command_line

# Notes of TensorFlow's C++ code, which no environment variable silences: information, warnings, "no GPU".
NOTE = re.compile(
    r'[IW]\d{4} \d\d:\d\d|WARNING: All log messages before absl|\d{4}-\d\d-\d\d .*: [IW] '
    r'|E\d{4} .*failed call to cuInit|WARNING:root:Resource module is not available'
)


def libraries() -> None:
    """Sets the log levels of TensorFlow, gRPC and Beam; must run before they are imported."""
    command_line.silence_tensorflow()
    os.environ.setdefault('GRPC_VERBOSITY', 'ERROR')
    for name in ('apache_beam', 'tensorflow', 'tensorflow_transform', 'h5py'):
        logging.getLogger(name).setLevel(logging.ERROR)
    logging.getLogger().addFilter(_is_worth_reading)
    for category in (DeprecationWarning, FutureWarning, SyntaxWarning):
        warnings.filterwarnings('ignore', category=category)


@contextlib.contextmanager
def start() -> Iterator[None]:
    """Holds back what is written to standard error in the block, and then passes on all but log messages.

    It takes the file descriptor, because TensorFlow's C++ code writes there when it is imported.
    """
    sys.stderr.flush()
    console = os.dup(2)
    with tempfile.TemporaryFile('w+', errors='replace') as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        finally:
            sys.stderr.flush()
            os.dup2(console, 2)
            os.close(console)
            held.seek(0)
            sys.stderr.writelines(line for line in held if not NOTE.match(line))


def find_devices() -> None:
    """Lets TensorFlow, where it is imported, look for GPUs, once and loudly; to be called within `start`."""
    if 'tensorflow' in sys.modules:
        sys.modules['tensorflow'].config.list_physical_devices()


def _is_worth_reading(record: logging.LogRecord) -> bool:
    return not NOTE.match(f'{record.levelname}:{record.name}:{record.getMessage()}')
