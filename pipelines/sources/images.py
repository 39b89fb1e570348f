# SPDX-License-Identifier: Apache-2.0
"""Makes image files fit for records: upright, RGB, whole; others stay byte for byte what they were."""

import io
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageOps
from zlib_ng import zlib_ng

from panpipe.model import errors, image_files

Chunk = tuple[bytes, memoryview]  # of a PNG: kind, content
Size = tuple[int, int]  # height, width

_ORIENTATION = 0x0112
_UPRIGHT = (0, 1)
_COLORED = ('RGB', 'RGBA', 'P')
# A multi-picture JPEG starts with an ordinary one.
_KNOWN_AS = {'JPEG': 'jpeg', 'MPO': 'jpeg', 'PNG': 'png'}
_JPEG_QUALITY = 95
_DEPTH = 8  # place of the bits a channel in the first chunk of a PNG, its header
_PNG_START = b'\x89PNG\r\n\x1a\n'
# Where a PNG can say that it is to be turned: in a chunk of its own, or in text under one of these names.
_PNG_EXIF = b'eXIf'
_PNG_TEXTS = (b'tEXt', b'zTXt', b'iTXt')
_PNG_TEXT_NAMES = (b'Raw profile type ', b'XML:com.adobe.xmp')


def upright_rgb(
    encoded: bytes, image_format: str, where: str, annotated: Size | None = None
) -> tuple[bytes, int, int]:
    """Returns an image file's bytes with its height and width.

    A file that says by EXIF that it is to be turned is encoded anew, because the annotation of a photo mostly
    refers to the upright picture. Where only the picture as it is stored has the size of the annotation, that
    is taken. A file that is not RGB, or not of the format that its name declares, is encoded anew, too.

    Args:
      encoded: bytes of the file.
      image_format: 'png' or 'jpeg', which the returned bytes have.
      where: the file's path, for errors.
      annotated: (height, width) of the annotation, if it is known.

    Raises:
      errors.InputError: the file is no image, is damaged, has more than 8 bits a channel, or is turned by
        EXIF and fits the annotation neither way.
    """
    image, chunks = _open(encoded, where, with_pixels=False)
    # Pillow cuts 16 bits a channel down to 8, and calls what is left RGB.
    if chunks and chunks[0][1][_DEPTH] > 8:
        raise errors.InputError(f'{where} has {chunks[0][1][_DEPTH]} bits a channel; convert it to 8')
    if image.mode[0] in 'IF' or _is_cut_down(image):
        raise errors.InputError(f'{where} has more than 8 bits a channel; convert it to 8')
    is_declared = _KNOWN_AS.get(image.format or '') == image_format
    is_upright = _is_upright(image, chunks)
    if is_declared and image.mode == 'RGB' and is_upright:
        return encoded, image.height, image.width
    with image_files.told(where):
        turned = image if is_upright else _oriented(image, annotated, where)
        turned = turned.convert('RGB')
    buffer = io.BytesIO()
    options = {'quality': _JPEG_QUALITY} if image_format == 'jpeg' else {}
    turned.save(buffer, image_format, **options)
    return buffer.getvalue(), turned.height, turned.width


def _is_cut_down(image: Image.Image) -> bool:
    """Tells whether Pillow decodes 16 bits a channel of a TIFF to 8."""
    return image.format == 'TIFF' and any(';16' in str(tile) for tile in getattr(image, 'tile', ()))


def _oriented(image: Image.Image, annotated: Size | None, where: str) -> Image.Image:
    """Turns a picture as EXIF says, unless only the picture as stored has the size of the annotation."""
    turned = ImageOps.exif_transpose(image)
    stored, upright = (image.height, image.width), (turned.height, turned.width)
    if annotated in (None, upright):
        return turned
    if annotated != stored:
        raise errors.InputError(
            f'{where} is {_sides(stored)} (height x width), and EXIF turns it to {_sides(upright)}, but its '
            f'annotation is {_sides(annotated or stored)}; annotate the picture at its own size'
        )
    plain = image.copy()
    plain.getexif().clear()
    plain.info = {}
    return plain


def _sides(size: Size) -> str:
    return f'{size[0]} x {size[1]}'


def upright_size(path: str, annotated: Size | None = None) -> Size:
    """Returns the (height, width) that `upright_rgb` would give an image file; pixels are not decoded.

    Raises:
      errors.InputError: the file is no image.
    """
    head = image_files.header(path)
    return head.size[::-1] if head.is_turned and annotated != head.size else head.size


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


def colors(encoded: bytes, where: str) -> np.ndarray:
    """Decodes a panoptic PNG, in RGB, with a palette, or with opacity, to uint8 [height, width, 3].

    Raises:
      errors.InputError: the file is no PNG, is damaged, grey, or has 16 bits a channel.
    """
    image, chunks = _open(encoded, where, with_pixels=True)
    if image.format != 'PNG':
        raise errors.InputError(f'{where} is a {image.format} file, which loses ids; fetch the original PNG')
    if image.mode not in _COLORED or chunks[0][1][_DEPTH] > 8:
        raise errors.InputError(
            f'{where} is a label image of mode {image.mode}, {chunks[0][1][_DEPTH]} bits a channel; a '
            'panoptic PNG holds segment ids in red, green and blue of 8 bits: fetch the original file again'
        )
    return np.asarray(image if image.mode == 'RGB' else image.convert('RGB'))


def _open(encoded: bytes, where: str, *, with_pixels: bool) -> tuple[Image.Image, Sequence[Chunk]]:
    """Opens an image file that is whole, without the pixels of a PNG unless told: they take 40 ms a photo."""
    image = image_files.opened(encoded, where)
    with image_files.told(where):
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
