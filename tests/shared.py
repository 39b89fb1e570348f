# SPDX-License-Identifier: Apache-2.0
"""Where tests find the reference's outputs and the real sample images that the repository does not carry.

They lie beside the checkout, in `../shared`, or where the environment variable PANPIPE_SHARED says.
A test that needs them is skipped, visibly, where they are absent.
"""

import os
import pathlib

import pytest

ROOT = pathlib.Path(os.environ.get('PANPIPE_SHARED', pathlib.Path(__file__).parents[2] / 'shared'))


def _folder(kind: str, name: str) -> pathlib.Path:
    path = ROOT / kind / name
    if not path.is_dir():
        pytest.skip(f'{kind}/{name} is not beside this checkout (see tests/shared.py)')
    return path


def golden(name: str) -> pathlib.Path:
    """Finds a folder of reference outputs, for example 'targets'."""
    return _folder('goldens', name)


def case(name: str) -> pathlib.Path:
    """Finds a small data set with which somebody's work went wrong, for example 'bom'."""
    return _folder('cases', name)


def sample(name: str) -> pathlib.Path:
    """Finds a folder of real images with official annotations: 'coco' or 'cityscapes_like'."""
    return _folder('samples', name)
