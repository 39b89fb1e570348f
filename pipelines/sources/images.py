# SPDX-License-Identifier: Apache-2.0
"""Makes image files fit for records: upright, RGB, whole; others stay byte for byte what they were."""

import contextlib
import io
from collections.abc import Iterator, Sequence

import numpy as np
from PIL import Image, ImageOps
from zlib_ng import zlib_ng

from panpipe.model import errors

Chunk = tuple[bytes, memoryview]  # of a PNG: kind, content

_ORIENTATION = 0x0112
_UPRIGHT = (0, 1)
# A multi-picture JPEG starts with an ordinary one.
_KNOWN_AS = {'JPEG': 'jpeg', 'MPO': 'jpeg', 'PNG': 'png'}
_JPEG_QUALITY = 95
_DEPTH = 8  # place of the bits a channel in the first chunk of a PNG, its header
_PNG_START = b'\x89PNG\r\n\x1a\n'
# Where a PNG can say that it is to be turned: in a chunk of its own, or in text under one of these names.
_PNG_EXIF = b'eXIf'
_PNG_TEXTS = (b'tEXt', b'zTXt', b'iTXt')
_PNG_TEXT_NAMES = (b'Raw profile type ', b'XML:com.adobe.xmp')


def upright_rgb(encoded: bytes, image_format: str, where: str) -> tuple[bytes, int, int]:
    """Returns an image file's bytes with its height and width.

    The label map of a photo refers to the upright picture, so a file that says by EXIF that it is to be
    turned is encoded anew. So is one that is not RGB, or not of the format that its name declares.

    Args:
      encoded: bytes of the file.
      image_format: 'png' or 'jpeg', which the returned bytes have.
      where: the file's path, for errors.

    Raises:
      errors.InputError: the file is no image, is damaged, or has more than 8 bits a channel.
    """
    image, chunks = _open(encoded, where, with_pixels=False)
    # Pillow cuts 16 bits a channel down to 8, and calls what is left RGB.
    if chunks and chunks[0][1][_DEPTH] > 8:
        raise errors.InputError(f'{where} has {chunks[0][1][_DEPTH]} bits a channel; convert it to 8')
    if image.mode[0] in 'IF':
        raise errors.InputError(f'{where} has {image.mode} pixels; convert it to 8 bits a channel')
    is_declared = _KNOWN_AS.get(image.format or '') == image_format
    if is_declared and image.mode == 'RGB' and _is_upright(image, chunks):
        return encoded, image.height, image.width
    with _told(where):
        turned = ImageOps.exif_transpose(image).convert('RGB')
    buffer = io.BytesIO()
    options = {'quality': _JPEG_QUALITY} if image_format == 'jpeg' else {}
    turned.save(buffer, image_format, **options)
    return buffer.getvalue(), turned.height, turned.width


def pixels(encoded: bytes, modes: tuple[str, ...], where: str) -> np.ndarray:
    """Decodes a label image, whose Pillow mode must be one of `modes`: integers [height, width(, 3)].

    Raises:
      errors.InputError: the file is no image, is damaged, or is of another mode.
    """
    image, _ = _open(encoded, where, with_pixels=True)
    if image.mode not in modes:
        raise errors.InputError(
            f'{where} is a label image of mode {image.mode}, not {modes[0]}; fetch the original file again'
        )
    return np.asarray(image)


def _open(encoded: bytes, where: str, *, with_pixels: bool) -> tuple[Image.Image, Sequence[Chunk]]:
    """Opens an image file that is whole, without the pixels of a PNG unless told: they take 40 ms a photo."""
    with _told(where):
        image = Image.open(io.BytesIO(encoded))
        chunks = _png_chunks(encoded) if image.format == 'PNG' else ()
        # A JPEG has no checksums: nothing but decoding finds damage.
        if with_pixels or image.format != 'PNG':
            image.load()
    return image, chunks


def _is_upright(image: Image.Image, chunks: Sequence[Chunk]) -> bool:
    # Pillow would decode the pixels of a PNG to find what may follow them.
    if image.format == 'PNG' and not any(_may_turn(*chunk) for chunk in chunks):
        return True
    return (image.getexif().get(_ORIENTATION) or 1) in _UPRIGHT


def _may_turn(kind: bytes, content: memoryview) -> bool:
    name = content[: max(map(len, _PNG_TEXT_NAMES))].tobytes()
    return kind == _PNG_EXIF or (kind in _PNG_TEXTS and name.startswith(_PNG_TEXT_NAMES))


def _png_chunks(encoded: bytes) -> Sequence[Chunk]:
    """Lists the chunks of a PNG up to its end, and compares their checksums.

    Raises:
      OSError: a chunk is cut short or damaged, or the end is missing.
    """
    view = memoryview(encoded)
    chunks: list[Chunk] = []
    position = len(_PNG_START)
    while not chunks or chunks[-1][0] != b'IEND':
        end = position + 8 + int.from_bytes(view[position : position + 4], 'big')
        if end + 4 > len(view):
            raise OSError('its end is missing')
        if zlib_ng.crc32(view[position + 4 : end]) != int.from_bytes(view[end : end + 4], 'big'):
            raise OSError('a checksum is wrong')
        chunks.append((view[position + 4 : position + 8].tobytes(), view[position + 8 : end]))
        position = end + 4
    return chunks


@contextlib.contextmanager
def _told(where: str) -> Iterator[None]:
    try:
        yield
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        reason = str(error) if 'cannot identify' not in str(error) else 'not an image'
        raise errors.InputError(
            f'{where} cannot be decoded ({reason}); the file is damaged or cut short, fetch it again'
        ) from error
