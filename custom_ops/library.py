# SPDX-License-Identifier: Apache-2.0
"""Finds the compiled ops of the installed TensorFlow and loads them once."""

import functools
import logging
import pathlib
import re
import threading
import types

import tensorflow as tf

FOLDER = pathlib.Path(__file__).parent
_LOCK = threading.Lock()


def path() -> pathlib.Path:
    """Names the library file: one for each version of TensorFlow, because none loads into another."""
    return FOLDER / f'_panpipe_ops_tf{re.sub(r"[^0-9a-z]+", "_", tf.__version__)}.so'


def available() -> bool:
    """Says whether the ops are compiled for the installed TensorFlow."""
    return path().is_file()


def load() -> types.ModuleType | None:
    """Loads the ops, which also lets a SavedModel that holds them be loaded.

    Returns:
      The module with one function an op, or None where they were not compiled; a warning says that, once.

    Raises:
      tf.errors.NotFoundError: the file is there, but is no library for this machine.
    """
    with _LOCK:
        return _load(path())


@functools.cache
def _load(library: pathlib.Path) -> types.ModuleType | None:
    if not library.is_file():
        logging.getLogger('panpipe').warning(
            'the compiled ops are not built for TensorFlow %s; slower pure-TensorFlow versions run instead. '
            'To build them: python -m panpipe.custom_ops.build',
            tf.__version__,
        )
        return None
    return tf.load_op_library(str(library))
