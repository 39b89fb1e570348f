# SPDX-License-Identifier: Apache-2.0
"""Records keep what they are given, and TensorFlow and DeepLab2 read them."""

import io
import subprocess
import sys
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

import synthetic
from panpipe.model import errors
from panpipe.model.inputs import records


def _picture(mode='RGB', size=(23, 17), **options):
    pixels = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).convert(mode).save(buffer, 'png', **options)
    return buffer.getvalue()


def _record(panoptic, image_id='bonn_000000_000019'):
    return records.Record(image_id, _picture(), 'png', *panoptic.shape, panoptic)


@given(st.integers(0, 2**32), st.integers(1, 40), st.integers(1, 40), st.sampled_from(records.LABEL_FORMATS))
def test_round_trip(seed, height, width, label_format):
    panoptic = synthetic.panoptic_map(np.random.default_rng(seed), height=height, width=width)
    record = _record(panoptic, f'tübingen_{seed}')
    back = records.parse(records.serialize(record, label_format))
    assert (back.image_id, back.encoded, back.format) == (record.image_id, record.encoded, record.format)
    assert (back.height, back.width) == (height, width)
    assert back.panoptic.dtype == np.int32
    np.testing.assert_array_equal(back.panoptic, panoptic)


def test_same_record_same_bytes():
    panoptic = synthetic.panoptic_map(np.random.default_rng(0))
    assert len({records.serialize(_record(panoptic)) for _ in range(5)}) == 1


def test_record_without_label():
    record = records.Record('berlin_000000_000019', b'image', 'jpeg', 5, 7)
    serialized = records.serialize(record)
    assert b'segmentation' not in serialized
    assert records.parse(serialized).panoptic is None


@pytest.mark.parametrize('label_format', records.LABEL_FORMATS)
def test_tensorflow_reads_every_feature(label_format):
    import tensorflow as tf

    panoptic = synthetic.panoptic_map(np.random.default_rng(3))
    record = _record(panoptic)
    string, integer = tf.io.FixedLenFeature((), tf.string), tf.io.FixedLenFeature((), tf.int64)
    features = tf.io.parse_single_example(
        records.serialize(record, label_format),
        {
            'image/encoded': string,
            'image/filename': string,
            'image/format': string,
            'image/height': integer,
            'image/width': integer,
            'image/channels': integer,
            'image/segmentation/class/encoded': string,
            'image/segmentation/class/format': string,
        },
    )
    assert features['image/encoded'].numpy() == record.encoded
    assert features['image/filename'].numpy() == b'bonn_000000_000019'
    assert features['image/format'].numpy() == b'png'
    assert features['image/channels'] == 3
    assert features['image/segmentation/class/format'].numpy() == label_format.encode()
    label = features['image/segmentation/class/encoded']
    if label_format == 'zlib':
        label = tf.io.decode_compressed(label, 'ZLIB')
    size = (features['image/height'], features['image/width'])
    np.testing.assert_array_equal(tf.reshape(tf.io.decode_raw(label, tf.int32), size), panoptic)


def test_reads_what_tensorflow_writes():
    import tensorflow as tf

    panoptic = np.arange(6, dtype=np.int32).reshape(2, 3)

    def text(value):
        return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))

    def number(value):
        return tf.train.Feature(int64_list=tf.train.Int64List(value=[value]))

    features = {
        'image/encoded': text(b'bytes'),
        'image/filename': text(b'name'),
        'image/format': text(b'jpg'),
        'image/height': number(2),
        'image/width': number(3),
        'image/segmentation/class/encoded': text(panoptic.tobytes()),
        'unknown': tf.train.Feature(float_list=tf.train.FloatList(value=[1.5])),
    }
    example = tf.train.Example(features=tf.train.Features(feature=features))
    record = records.parse(example.SerializeToString())
    assert (record.image_id, record.encoded, record.format) == ('name', b'bytes', 'jpeg')
    np.testing.assert_array_equal(record.panoptic, panoptic)


def test_zlib_saves_space():
    panoptic = np.kron(synthetic.panoptic_map(np.random.default_rng(0)), np.ones((16, 16), np.int32))
    assert len(zlib.compress(panoptic.tobytes())) < panoptic.nbytes / 50
    small, large = (len(records.serialize(_record(panoptic), name)) for name in records.LABEL_FORMATS)
    assert large - small > 0.9 * panoptic.nbytes


@pytest.mark.parametrize(
    ('serialized', 'message'),
    [
        (b'not a record', 'is not a tf.train.Example'),
        (b'', 'lacks image/encoded, image/filename, image/height, image/width'),
    ],
)
def test_damaged_records_are_told(serialized, message):
    with pytest.raises(errors.InputError, match=message):
        records.parse(serialized)


@pytest.mark.parametrize(
    ('new', 'message'), [(b'gif', "is stored as 'gif'; records hold jpeg, png"), (b'p\xffg', 'is not UTF-8')]
)
def test_formats_of_images_that_are_none_are_told(new, message):
    written = records.serialize(records.Record('name', b'bytes', 'png', 2, 3))
    with pytest.raises(errors.InputError, match=message):
        records.parse(written.replace(b'png', new))


def test_label_of_another_size_is_told():
    short = records.serialize(_record(np.zeros((17, 23), np.int32)), 'raw').replace(b'raw', b'png')
    with pytest.raises(errors.InputError, match="is stored as 'png', which holds no instances"):
        records.parse(short)
    with pytest.raises(ValueError, match=r'\(2, 2\), the image \(3, 2\)'):
        records.Record('name', b'', 'png', 3, 2, np.zeros((2, 2), np.int32))
    with pytest.raises(ValueError, match='it must be one of zlib, raw'):
        records.serialize(_record(np.zeros((17, 23), np.int32)), 'gzip')
    with pytest.raises(ValueError, match='it must be one of jpeg, png'):
        records.Record('name', b'', 'gif', 3, 2)


@pytest.mark.parametrize('mode', ['RGB', 'L', 'P', 'RGBA', '1'])
def test_decode_image_gives_rgb(mode):
    image = records.decode_image(_picture(mode), 'a.png')
    assert image.shape == (17, 23, 3)
    assert image.dtype == np.uint8


def test_decode_image_is_upright():
    exif = Image.Exif()
    exif[0x0112] = 6
    image = records.decode_image(_picture(exif=exif), 'a.png')
    np.testing.assert_array_equal(image, np.rot90(records.decode_image(_picture(), 'a.png'), -1))


@pytest.mark.parametrize('length', [0, 10, 200, -30])
def test_truncated_images_are_told(length):
    with pytest.raises(errors.InputError, match=r'folder/a\.png cannot be decoded'):
        records.decode_image(_picture()[:length], 'folder/a.png')


def test_needs_no_tensorflow():
    code = 'import sys; from panpipe.model.inputs import records; sys.exit("tensorflow" in sys.modules)'
    assert subprocess.run([sys.executable, '-c', code], check=False).returncode == 0
