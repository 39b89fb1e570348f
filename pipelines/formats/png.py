# SPDX-License-Identifier: Apache-2.0
"""PNG files, written whole."""

import concurrent.futures
import os
import struct
from collections.abc import Callable, Iterable

import numpy as np
from zlib_ng import zlib_ng

from panpipe.model.storage import files

_SIGNATURE = b'\x89PNG\r\n\x1a\n'
_GREY, _RGB = 0, 2
# Of zlib-ng: label maps shrink to some kilobytes at any level, and this one takes a quarter of zlib's time.
_LEVEL = 2


def save(path: str, pixels: np.ndarray) -> None:
    """Saves uint8 [height, width] or [height, width, 3], uint16 or bool [height, width], as a PNG."""
    files.write_whole(path, encode(pixels))


def side_by_side(tasks: Iterable[Callable[[], None]]) -> None:
    """Does tasks on all cores, such as saving several files: compression leaves other threads alone."""
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as threads:
        for done in [threads.submit(task) for task in tasks]:
            done.result()


def encode(pixels: np.ndarray) -> bytes:
    """Encodes pixels as `save` takes them.

    Pillow tries five filters on each row, of which label maps need none: this takes a quarter of the time,
    and the files are no larger. A mask takes one bit a pixel.

    Source: https://www.w3.org/TR/png-3/, sections 5 and 11.
    """
    height, width = pixels.shape[:2]
    bits = {'bool': 1, 'uint8': 8, 'uint16': 16}[pixels.dtype.name]
    kind = _RGB if pixels.ndim == 3 else _GREY
    if bits == 1:
        pixels = np.packbits(pixels, axis=1)
    elif bits == 16:
        pixels = np.ascontiguousarray(pixels, '>u2').view(np.uint8)
    rows = _rows(height, pixels[:1].size)
    inner = rows[:, 1:].reshape(*pixels.shape[:2], -1)
    for channel, values in enumerate(np.moveaxis(np.atleast_3d(pixels), 2, 0)):
        inner[..., channel] = values  # of all channels at once, NumPy takes four times as long
    return _file(rows, struct.pack('>IIBBBBB', width, height, bits, kind, 0, 0, 0))


def encode_within(mask: np.ndarray, size: tuple[int, int], place: tuple[int, int]) -> bytes:
    """Encodes a mask that is False but for a part of it, in time that hardly depends on the rest.

    Args:
      mask: bool [height, width], the part.
      size: of the whole, (height, width).
      place: of the part's first pixel in the whole, (y, x).
    """
    (top, left), (height, width) = place, mask.shape
    shifted = np.zeros((height, left % 8 + width), bool)  # begins where a byte does
    shifted[:, left % 8 :] = mask
    packed = np.packbits(shifted, axis=1)
    rows = _rows(size[0], -(-size[1] // 8))
    first = 1 + left // 8
    rows[top : top + height, first : first + packed.shape[1]] = packed
    return _file(rows, struct.pack('>IIBBBBB', size[1], size[0], 1, _GREY, 0, 0, 0))


def _rows(height: int, width: int) -> np.ndarray:
    """Makes rows of `width` bytes of pixels; each begins with the number of its filter: 0 for none."""
    return np.zeros((height, 1 + width), np.uint8)


def _file(rows: np.ndarray, header: bytes) -> bytes:
    chunks = ((b'IHDR', header), (b'IDAT', zlib_ng.compress(rows.data, _LEVEL)), (b'IEND', b''))
    return _SIGNATURE + b''.join(_chunk(name, content) for name, content in chunks)


def _chunk(name: bytes, content: bytes) -> bytes:
    checksum = zlib_ng.crc32(name + content)
    return struct.pack('>I', len(content)) + name + content + struct.pack('>I', checksum)
