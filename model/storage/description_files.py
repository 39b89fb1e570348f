# SPDX-License-Identifier: Apache-2.0
"""Reads the files that describe data sets."""

import json
import pathlib
from collections.abc import Mapping
from typing import Any

from panpipe.model import errors
from panpipe.model.storage import addresses, files, reach


def content(path: str) -> Mapping[str, Any]:
    """Reads a JSON file, which may begin with a byte order mark."""
    try:
        if addresses.is_remote(path):
            reach.check('--dataset', path)
            encoded = files.read(path)
        else:
            encoded = pathlib.Path(path).read_bytes()
        found = json.loads(encoded)
    except OSError as error:
        raise errors.InputError(
            f'cannot read the data set description {path}: {error.strerror}; check the file and its rights'
        ) from error
    except (ValueError, RecursionError) as error:
        if isinstance(error, errors.InputError):
            raise
        raise wrong(path, error) from error
    if not isinstance(found, dict):
        raise wrong(path, TypeError('it holds no object'))
    return found


def wrong(path: str, error: Exception) -> errors.InputError:
    return errors.InputError(
        f'{path} does not describe a data set ({type(error).__name__}: {error}); '
        'it needs layout, num_classes, label_divisor, ignore_label and categories'
    )
