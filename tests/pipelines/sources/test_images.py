# SPDX-License-Identifier: Apache-2.0
"""Image files reach the records upright, RGB and whole, and otherwise untouched."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from panpipe.model import errors
from panpipe.model.storage import files
from panpipe.pipelines.sources import images

PIXELS = np.random.default_rng(0).integers(0, 256, (17, 23, 3), dtype=np.uint8)


def _encoded(mode='RGB', image_format='png', **options):
    buffer = io.BytesIO()
    Image.fromarray(PIXELS).convert(mode).save(buffer, image_format, **options)
    return buffer.getvalue()


def _orientation(number):
    exif = Image.Exif()
    exif[0x0112] = number
    return exif


@pytest.mark.parametrize('image_format', ['png', 'jpeg'])
@pytest.mark.parametrize('options', [{}, {'exif': _orientation(1)}])
def test_good_files_stay_byte_for_byte(image_format, options):
    encoded = _encoded(image_format=image_format, **options)
    assert images.upright_rgb(encoded, image_format, 'a') == (encoded, 17, 23)


@pytest.mark.parametrize(('number', 'turns'), [(3, 2), (6, -1), (8, 1)])
def test_photos_are_turned_upright(number, turns):
    encoded, height, width = images.upright_rgb(_encoded(exif=_orientation(number)), 'png', 'a')
    expected = np.rot90(PIXELS, turns)
    assert (height, width) == expected.shape[:2]
    turned = Image.open(io.BytesIO(encoded))
    np.testing.assert_array_equal(np.asarray(turned), expected)
    assert turned.getexif().get(0x0112, 1) == 1


@pytest.mark.parametrize(
    ('mode', 'image_format'), [('L', 'jpeg'), ('CMYK', 'jpeg'), ('RGBA', 'png'), ('P', 'png')]
)
def test_other_modes_become_rgb(mode, image_format):
    encoded, height, width = images.upright_rgb(_encoded(mode, image_format), image_format, 'a')
    image = Image.open(io.BytesIO(encoded))
    assert (image.mode, image.format, height, width) == ('RGB', image_format.upper(), 17, 23)


def test_a_png_that_is_called_jpg_becomes_one():
    encoded, _, _ = images.upright_rgb(_encoded(), 'jpeg', 'a.jpg')
    assert Image.open(io.BytesIO(encoded)).format == 'JPEG'


def _encoded_in_16_bits(colors):
    kind = {1: 0, 3: 2}[colors]  # grey, RGB
    rows = np.zeros((17, 1 + 23 * colors * 2), np.uint8)  # each after the number of its filter
    chunks = {
        b'IHDR': struct.pack('>IIBBBBB', 23, 17, 16, kind, 0, 0, 0),
        b'IDAT': zlib.compress(rows.tobytes()),
        b'IEND': b'',
    }
    return b'\x89PNG\r\n\x1a\n' + b''.join(
        struct.pack('>I', len(content)) + name + content + struct.pack('>I', zlib.crc32(name + content))
        for name, content in chunks.items()
    )


def test_what_cannot_be_used_is_told():
    for colors in (1, 3):
        with pytest.raises(errors.InputError, match=r'a\.png has 16 bits a channel; convert it to 8$'):
            images.upright_rgb(_encoded_in_16_bits(colors), 'png', 'a.png')
    with pytest.raises(errors.InputError, match=r'a\.png cannot be decoded \(not an image\)'):
        images.upright_rgb(b'<html>', 'png', 'a.png')
    for length in (20, 300, len(_encoded()) - 20):
        with pytest.raises(errors.InputError, match=r'a\.png cannot be decoded'):
            images.upright_rgb(_encoded()[:length], 'png', 'a.png')


def _with_chunk(encoded, kind, content):
    """Puts a chunk behind the pixels of a PNG."""
    chunk = struct.pack('>I', len(content)) + kind + content
    return encoded[:-12] + chunk + struct.pack('>I', zlib.crc32(kind + content)) + encoded[-12:]


def test_damage_is_told_without_decoding():
    good = _encoded()
    for position in (len(good) // 2, len(good) - 10):
        flipped = good[:position] + bytes([good[position] ^ 1]) + good[position + 1 :]
        with pytest.raises(errors.InputError, match=r'a\.png cannot be decoded'):
            images.upright_rgb(flipped, 'png', 'a.png')
    photo = _encoded(image_format='jpeg')
    for length in (300, len(photo) - 20):
        with pytest.raises(errors.InputError, match=r'a\.jpg cannot be decoded'):
            images.upright_rgb(photo[:length], 'jpeg', 'a.jpg')


def test_text_in_a_png_turns_nothing():
    for kind, content in ((b'tEXt', b'Software\0panpipe'), (b'iTXt', b'Comment\0\0\0\0\0up')):
        encoded = _with_chunk(_encoded(), kind, content)
        assert images.upright_rgb(encoded, 'png', 'a') == (encoded, 17, 23)


def test_exif_behind_the_pixels_counts():
    exif = _orientation(6).tobytes().removeprefix(b'Exif\0\0')
    encoded = images.upright_rgb(_with_chunk(_encoded(), b'eXIf', exif), 'png', 'a')[0]
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(encoded))), np.rot90(PIXELS, -1))


def test_folders_may_have_odd_names(tmp_path, monkeypatch):
    folder = tmp_path / 'a [b] *c?'
    folder.mkdir()
    (folder / 'x.png').write_bytes(b'1')
    (tmp_path / 'a b').mkdir()
    assert files.find(str(folder), '*.png') == [str(folder / 'x.png')]
    monkeypatch.chdir(tmp_path)
    assert files.find(folder.name, '*.png') == [f'{folder.name}/x.png']
    assert files.find('.', f'{"?" * len(folder.name)}/*.png') == [f'./{folder.name}/x.png']
    assert files.read(str(folder / 'x.png')) == b'1'
    with pytest.raises(errors.InputError, match=r'cannot read .*y\.png: it is missing'):
        files.read(str(folder / 'y.png'))
