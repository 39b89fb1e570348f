# SPDX-License-Identifier: Apache-2.0
"""Makes image files fit for records: upright, RGB, whole; others stay byte for byte what they were."""

import io

import numpy as np
from PIL import Image, ImageOps

from panpipe.model import errors

_ORIENTATION = 0x0112
_UPRIGHT = (0, 1)
# A multi-picture JPEG starts with an ordinary one.
_KNOWN_AS = {'JPEG': 'jpeg', 'MPO': 'jpeg', 'PNG': 'png'}
_JPEG_QUALITY = 95
# Pillow does not mind a PNG that ends early as long as the pixels are there; TensorFlow does.
_PNG_END = b'IEND\xaeB`\x82'


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
    image = _open(encoded, where)
    if image.mode[0] in 'IF':
        raise errors.InputError(f'{where} has {image.mode} pixels; convert it to 8 bits a channel')
    is_upright = (image.getexif().get(_ORIENTATION) or 1) in _UPRIGHT
    if is_upright and image.mode == 'RGB' and _KNOWN_AS.get(image.format or '') == image_format:
        return encoded, image.height, image.width
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
    image = _open(encoded, where)
    if image.mode not in modes:
        raise errors.InputError(
            f'{where} is a label image of mode {image.mode}, not {modes[0]}; fetch the original file again'
        )
    return np.asarray(image)


def _open(encoded: bytes, where: str) -> Image.Image:
    try:
        image = Image.open(io.BytesIO(encoded))
        image.load()
        if image.format == 'PNG' and _PNG_END not in encoded:
            raise OSError('its end is missing')
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        reason = str(error) if 'cannot identify' not in str(error) else 'not an image'
        raise errors.InputError(
            f'{where} cannot be decoded ({reason}); the file is damaged or cut short, fetch it again'
        ) from error
    return image
