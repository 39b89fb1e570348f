# SPDX-License-Identifier: Apache-2.0
"""Image files are opened up to a limit of pixels that people can raise, and damage is told in one line."""

import concurrent.futures
import io
import threading

import numpy as np
import pytest
from PIL import Image, ImageOps

from panpipe.model import errors, image_files


@pytest.fixture(autouse=True)
def limit(monkeypatch):
    """Forgets limits that are set."""
    monkeypatch.setenv(image_files.VARIABLE, '1')
    monkeypatch.delenv(image_files.VARIABLE)
    monkeypatch.setattr(Image, 'MAX_IMAGE_PIXELS', 1)  # what another library may have left there


def _encoded(image, form='PNG', **options):
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


def _turned(orientation, size=(4, 2)):
    exif = Image.Exif()
    exif[0x0112] = orientation
    return Image.new('RGB', size), exif


def test_the_limit_can_be_set():
    assert image_files.max_pixels() == 500_000_000
    image_files.allow(7)
    assert image_files.max_pixels() == 7_000_000
    image_files.allow(None)
    assert image_files.max_pixels() == 7_000_000


@pytest.mark.parametrize('megapixels', [0, -3])
def test_the_limit_is_positive(megapixels):
    with pytest.raises(errors.InputError, match=f'^--max_megapixels is {megapixels}; it must be at least 1$'):
        image_files.allow(megapixels)


@pytest.mark.parametrize('told', ['', '0', '-1', '1.5', 'many', '1e3'])
def test_the_variable_is_a_whole_number(told, monkeypatch):
    monkeypatch.setenv(image_files.VARIABLE, told)
    words = rf"^\$PANPIPE_MAX_MEGAPIXELS is '{told}'; it must be a number of millions of pixels$"
    with pytest.raises(errors.InputError, match=words):
        image_files.max_pixels()


@pytest.mark.parametrize('form', ['PNG', 'JPEG', 'TIFF', 'BMP', 'WEBP'])
def test_images_are_opened(form):
    image = image_files.opened(_encoded(Image.new('RGB', (5, 3), (9, 9, 9)), form), 'a')
    assert image.size == (5, 3)
    with image_files.told('a'):
        assert np.asarray(image).shape == (3, 5, 3)


def test_more_pixels_than_the_limit_are_refused(tmp_path):
    image_files.allow(1)
    image_files.opened(_encoded(Image.new('1', (1000, 1000))), 'a.png')
    encoded = _encoded(Image.new('1', (1000, 1001)))
    words = (
        r'a\.png has 1000 x 1001 pixels, more than 1 megapixels; make it smaller, or raise the limit: '
        r'--max_megapixels, or \$PANPIPE_MAX_MEGAPIXELS$'
    )
    with pytest.raises(errors.InputError, match=f'^{words}'):
        image_files.opened(encoded, 'a.png')
    (tmp_path / 'a.png').write_bytes(encoded)
    with pytest.raises(errors.InputError, match=words):
        image_files.header(str(tmp_path / 'a.png'))


@pytest.mark.parametrize('encoded', [b'', b'text', b'\x89PNG\r\n\x1a\n', b'\xff\xd8\xff\xe0'])
def test_what_is_no_image_is_told(encoded, tmp_path):
    words = r'a\.png cannot be decoded \(.+\); the file is damaged or cut short, fetch it again$'
    with pytest.raises(errors.InputError, match=f'^{words}'):
        image_files.opened(encoded, 'a.png')
    (tmp_path / 'a.png').write_bytes(encoded)
    with pytest.raises(errors.InputError, match=words):
        image_files.header(str(tmp_path / 'a.png'))


def test_a_reason_is_given_without_pythons_words():
    with pytest.raises(errors.InputError, match=r'cannot be decoded \(not an image\)'):
        image_files.opened(b'text', 'a.png')


@pytest.mark.parametrize('damage', image_files.DAMAGES)
def test_all_that_pillow_raises_is_told(damage):
    refusal = pytest.raises(errors.InputError, match=r'^a\.png cannot be decoded \(why\); ')
    with refusal as caught, image_files.told('a.png'):
        raise damage('why')
    assert isinstance(caught.value.__cause__, damage)


def test_pillows_limit_is_put_back_when_the_last_thread_has_read():
    barrier = threading.Barrier(4, timeout=10)

    def read(_):
        with image_files.told('a.png'):
            barrier.wait()
            return Image.MAX_IMAGE_PIXELS

    with concurrent.futures.ThreadPoolExecutor(4) as threads:
        assert list(threads.map(read, range(4))) == [None] * 4
    assert Image.MAX_IMAGE_PIXELS == 1
    with pytest.raises(errors.InputError), image_files.told('a.png'):
        raise OSError('damage')
    assert Image.MAX_IMAGE_PIXELS == 1


def test_mistakes_and_faults_pass():
    with pytest.raises(errors.InputError, match=r'^wrong$'), image_files.told('a.png'):
        raise errors.InputError('wrong')
    with pytest.raises(RuntimeError, match=r'^a fault$'), image_files.told('a.png'):
        raise RuntimeError('a fault')


@pytest.mark.parametrize('mode', ['RGB', 'L', 'P', 'I;16', '1', 'RGBA'])
def test_a_header_says_mode_and_size(mode, tmp_path):
    path = tmp_path / 'a.png'
    Image.new(mode, (5, 3)).save(path)
    assert image_files.header(str(path)) == image_files.Header(mode, (3, 5), False)


@pytest.mark.parametrize('form', ['JPEG', 'PNG', 'TIFF', 'WEBP'])
@pytest.mark.parametrize('orientation', range(1, 9))
def test_a_header_says_whether_a_side_is_the_top(form, orientation, tmp_path):
    image, exif = _turned(orientation)
    path = tmp_path / 'a'
    path.write_bytes(_encoded(image, form, exif=exif))
    head = image_files.header(str(path))
    with image_files.told('the test'), Image.open(path) as stored:
        upright = ImageOps.exif_transpose(stored)
    assert (head.size[::-1] if head.is_turned else head.size) == (upright.height, upright.width)
    # Orientations 5 to 8 exchange rows and columns (EXIF 2.3, section 4.6.4, tag 0x0112).
    assert (upright.height, upright.width) == ((4, 2) if orientation >= 5 else (2, 4))
    assert head.mode == 'RGB'


def test_pixels_are_not_decoded_for_a_header(tmp_path):
    encoded = _encoded(Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64), np.uint8)))
    path = tmp_path / 'a.png'
    path.write_bytes(encoded[: len(encoded) // 2])
    assert image_files.header(str(path)).size == (64, 64)


def test_a_missing_file_is_told(tmp_path):
    with pytest.raises(errors.InputError, match=r'none\.png cannot be decoded'):
        image_files.header(str(tmp_path / 'none.png'))
