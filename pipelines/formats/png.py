# SPDX-License-Identifier: Apache-2.0
"""PNG files, read and written whole."""

import io
import os

import numpy as np
from PIL import Image

from panpipe.model import errors

# Of zlib: label maps shrink to some kilobytes at any level, and this one takes half the time of the default.
_LEVEL = 3


def save(path: str, pixels: np.ndarray) -> None:
    """Saves uint8 [height, width] or [height, width, 3], uint16 or bool [height, width], as a PNG."""
    content = io.BytesIO()
    Image.fromarray(pixels).save(content, 'PNG', compress_level=_LEVEL)
    write_whole(path, content.getvalue())


def write_whole(path: str, content: bytes) -> None:
    """Writes a file aside and renames it.

    A worker may be stopped at any moment, or do an image twice.
    """
    aside = f'{path}.{os.getpid()}.partial'
    with open(aside, 'wb') as file:
        file.write(content)
    os.replace(aside, path)


def load(path: str, mode: str) -> np.ndarray:
    """Reads a PNG as uint8: mode 'RGB' gives [height, width, 3], mode 'L' gives [height, width].

    Raises:
      errors.InputError: the file is missing, damaged or of another mode.
    """
    try:
        with Image.open(path) as image:
            if image.mode != mode:
                raise errors.InputError(f'{path} has pixels of mode {image.mode}; it must be an {mode} PNG')
            return np.array(image)
    except FileNotFoundError as error:
        raise errors.InputError(f'{path} is missing') from error
    except (OSError, SyntaxError) as error:
        raise errors.InputError(f'{path} cannot be decoded ({error}); is it cut short?') from error
