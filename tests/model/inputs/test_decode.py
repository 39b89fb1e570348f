# SPDX-License-Identifier: Apache-2.0
"""Decoding in a graph reads what `records` writes, and what DeepLab2 writes."""

import dataclasses
import io
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from panpipe.model import tensors
from panpipe.model.inputs import decode, records

RNG = np.random.default_rng(0)
PIXELS = RNG.integers(0, 256, (7, 9, 3)).astype(np.uint8)
PANOPTIC = RNG.integers(0, 255001, (7, 9)).astype(np.int32)


def _record(kind: str = 'png', pixels: np.ndarray = PIXELS) -> records.Record:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, kind.upper())
    return records.Record('street', stream.getvalue(), kind, 7, 9, PANOPTIC)


def _decode(serialized: bytes, with_labels: bool = True) -> tensors.Sample:
    return tf.function(lambda text: decode.decode(text, with_labels=with_labels))(tf.constant(serialized))


def _without(serialized: bytes, *keys: str, **changed: bytes) -> bytes:
    example = tf.train.Example.FromString(serialized)
    for key in keys:
        del example.features.feature[key]
    for value in changed.values():
        example.features.feature[records.LABEL_FORMAT].bytes_list.value[:] = [value]
    return example.SerializeToString()


@pytest.mark.parametrize('label_format', records.LABEL_FORMATS)
@pytest.mark.parametrize('kind', records.IMAGE_FORMATS)
def test_reads_what_records_write(kind: str, label_format: str) -> None:
    serialized = records.serialize(_record(kind), label_format)
    sample = _decode(serialized)
    assert sample.image_id.numpy() == b'street'
    np.testing.assert_array_equal(sample.panoptic.numpy(), PANOPTIC, strict=True)
    expected = records.decode_image(records.parse(serialized).encoded, 'street').astype(int)
    assert sample.image.dtype == tf.uint8
    assert np.abs(sample.image.numpy() - expected).max() <= (0 if kind == 'png' else 4)


def test_a_label_without_a_format_is_raw() -> None:
    serialized = _without(records.serialize(_record(), 'raw'), records.LABEL_FORMAT)
    np.testing.assert_array_equal(_decode(serialized).panoptic.numpy(), PANOPTIC)


def test_labels_are_left_alone_where_there_are_none() -> None:
    sample = _decode(records.serialize(dataclasses.replace(_record(), panoptic=None)), with_labels=False)
    assert sample.panoptic is None
    np.testing.assert_array_equal(sample.image.numpy(), PIXELS)


@pytest.mark.parametrize(
    'pixels', [PIXELS[:, :, 0], np.dstack([PIXELS, PIXELS[:, :, :1]])], ids=['grey', 'rgba']
)
def test_images_come_with_three_channels(pixels: np.ndarray) -> None:
    expected = np.dstack([pixels] * 3) if pixels.ndim == 2 else pixels[:, :, :3]
    np.testing.assert_array_equal(_decode(records.serialize(_record(pixels=pixels))).image.numpy(), expected)


@pytest.mark.parametrize(
    ('serialized', 'message'),
    [
        (_without(records.serialize(_record()), format=b'png'), 'stored as.*png.*holds no instances'),
        (records.serialize(_record(pixels=PIXELS[:5])), 'the label of.*street.*63.*pixels'),
        (_without(records.serialize(_record()), records.LABEL_ENCODED), records.LABEL_ENCODED),
    ],
    ids=['format', 'size', 'absent'],
)
def test_names_what_is_wrong(serialized: bytes, message: Any) -> None:
    with pytest.raises(tf.errors.InvalidArgumentError, match=f'(?s){message}'):
        _decode(serialized)
