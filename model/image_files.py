# SPDX-License-Identifier: Apache-2.0
"""Image files that users bring: opened with our own limit of pixels, and refused in one line.

Pillow's own limit is for web servers (179 megapixels), below satellite and microscope pictures. Ours is
stated and can be raised: by the option --max_megapixels, or by the environment, which workers inherit.
"""

import contextlib
import io
import os
import struct
import threading
import zlib
from collections.abc import Iterator
from typing import NamedTuple

from PIL import Image

from panpipe.model import errors

VARIABLE = 'PANPIPE_MAX_MEGAPIXELS'
_DEFAULT = 500
_MILLION = 10**6
_ORIENTATION, _TURNED = 0x0112, (5, 6, 7, 8)  # of EXIF, and where a side of the stored picture is the top
# What Pillow raises for files that are damaged or no images.
DAMAGES = (
    *(OSError, SyntaxError, ValueError, EOFError, LookupError, TypeError, AttributeError, ArithmeticError),
    *(MemoryError, struct.error, zlib.error, Image.DecompressionBombError),
)


class Damaged(errors.FileError):
    """Signals an image file that Pillow cannot decode."""


def allow(megapixels: int | None) -> None:
    """Sets the limit of this process and its workers, in millions of pixels; None leaves it.

    Raises:
      errors.InputError: it is not positive.
    """
    if megapixels is not None:
        if megapixels < 1:
            raise errors.InputError(f'--max_megapixels is {megapixels}; it must be at least 1')
        os.environ[VARIABLE] = str(megapixels)


def max_pixels() -> int:
    """Returns the largest number of pixels that an image may have.

    Raises:
      errors.InputError: the environment variable is not a positive whole number.
    """
    told = os.environ.get(VARIABLE, str(_DEFAULT))
    if not told.isdecimal() or int(told) < 1:
        raise errors.InputError(f'${VARIABLE} is {told!r}; it must be a number of millions of pixels')
    return int(told) * _MILLION


def opened(encoded: bytes, where: str) -> Image.Image:
    """Opens an image file's bytes, without decoding pixels yet.

    Raises:
      errors.InputError: the bytes are no image, or one of too many pixels.
    """
    with told(where):
        image = Image.open(io.BytesIO(encoded))
    refuse_size(image, where)
    return image


class Header(NamedTuple):
    """Holds the header of an image file.

    Attributes:
      mode: Pillow's, such as 'RGB'.
      size: (height, width), as Pillow opens it.
      is_turned: EXIF says that a side is the top, and the size does not show it.
    """

    mode: str
    size: tuple[int, int]
    is_turned: bool


def header(path: str) -> Header:
    """Reads the header of an image file on this machine, not its pixels.

    Raises:
      errors.InputError: the file is missing, no image, or of too many pixels.
    """
    with told(path), Image.open(path) as image:
        refuse_size(image, path)
        # Pillow would decode the pixels of a PNG to find what may follow them.
        has_exif = image.format != 'PNG' or bool({'exif', 'Raw profile type exif'} & image.info.keys())
        # Pillow turns a TIFF itself, and tells its size so.
        is_told = has_exif and image.format != 'TIFF'
        is_turned = is_told and image.getexif().get(_ORIENTATION) in _TURNED
        return Header(image.mode, (image.height, image.width), is_turned)


def refuse_size(image: Image.Image, where: str) -> None:
    """Raises errors.InputError for an image of more pixels than the limit."""
    refuse_sides(image.width, image.height, where)


def refuse_sides(width: int, height: int, where: str) -> None:
    """Raises errors.InputError for more pixels than the limit."""
    if width * height > max_pixels():
        raise errors.FileError(
            where,
            f'has {width} x {height} pixels, more than {max_pixels() // _MILLION} megapixels',
            f'make it smaller, or raise the limit: --max_megapixels, or ${VARIABLE}',
        )


@contextlib.contextmanager
def told(where: str) -> Iterator[None]:
    """Lets Pillow read a file of any size, and turns what it raises for a damaged one into `Damaged`."""
    try:
        with _PILLOWS_LIMIT.lifted():
            yield
    except errors.InputError:
        raise
    except DAMAGES as error:
        reason = str(error) if 'cannot identify' not in str(error) else 'not an image'
        raise Damaged(
            where, f'cannot be decoded ({reason})', 'the file is damaged or cut short, fetch it again'
        ) from error


class _PillowsLimit:
    """Lifts Pillow's own limit of pixels, a variable of its module, while any thread reads an image."""

    def __init__(self) -> None:
        self._lock, self._readers, self._limit = threading.Lock(), 0, Image.MAX_IMAGE_PIXELS

    @contextlib.contextmanager
    def lifted(self) -> Iterator[None]:
        """Keeps the limit away; the last thread that leaves puts it back."""
        with self._lock:
            if not self._readers:
                self._limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
            self._readers += 1
        try:
            yield
        finally:
            with self._lock:
                self._readers -= 1
                if not self._readers:
                    Image.MAX_IMAGE_PIXELS = self._limit


_PILLOWS_LIMIT = _PillowsLimit()
