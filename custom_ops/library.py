# SPDX-License-Identifier: Apache-2.0
"""Finds the compiled ops of the installed TensorFlow and loads them once."""

import functools
import logging
import pathlib
import re
import threading
import types

import tensorflow as tf

from panpipe.model import errors

FOLDER = pathlib.Path(__file__).parent
# All ops that the library holds, under their names in Python.
OPS = (
    'panpipe_cut_image',
    'panpipe_cut_label',
    'panpipe_depthwise_kernel_gradient',
    'panpipe_group',
    'panpipe_instance_sums',
    'panpipe_mask_confidences',
    'panpipe_merge',
    'panpipe_panoptic_from_heads',
    'panpipe_panoptic_from_masks',
    'panpipe_targets',
)
_LOCK = threading.Lock()


def path() -> pathlib.Path:
    """Names the library file: one for each version of TensorFlow, because none loads into another."""
    return FOLDER / f'_panpipe_ops_{_version()}.so'


def cuda_path() -> pathlib.Path:
    """Names the file with the kernels for GPUs, which few machines have."""
    return FOLDER / f'_panpipe_ops_cuda_{_version()}.so'


def is_for_cuda() -> bool:
    """Returns whether the installed TensorFlow can use kernels for GPUs."""
    return bool(tf.sysconfig.get_build_info().get('is_cuda_build'))


def available() -> bool:
    """Returns whether the ops are compiled for the installed TensorFlow."""
    return path().is_file()


def load() -> types.ModuleType | None:
    """Loads the ops, which also lets a SavedModel that holds them be loaded.

    Returns:
      The module with one function an op, or None where they were not compiled; a warning says that, once.

    Raises:
      InputError: the library was built before some op was written.
      tf.errors.NotFoundError: the file is there, but is no library for this machine.
    """
    with _LOCK:
        return _load(path(), cuda_path())


@functools.cache
def _load(library: pathlib.Path, cuda_library: pathlib.Path) -> types.ModuleType | None:
    if not library.is_file():
        logging.getLogger('panpipe').warning(
            'the compiled ops are not built for TensorFlow %s; slower pure-TensorFlow versions run instead. '
            'To build them: python -m panpipe.custom_ops.build',
            tf.__version__,
        )
        return None
    ops = tf.load_op_library(str(library))
    missing = [name for name in OPS if not hasattr(ops, name)]
    if missing:
        raise errors.InputError(
            f'{library} is older than this panpipe: it lacks {", ".join(missing)}; build it anew: '
            'python -m panpipe.custom_ops.build --force'
        )
    if cuda_library.is_file():
        tf.load_library(str(cuda_library))  # more kernels for the same ops
    return ops


def _version() -> str:
    return f'tf{re.sub(r"[^0-9a-z]+", "_", tf.__version__)}'
