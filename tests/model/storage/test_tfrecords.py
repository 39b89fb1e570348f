# SPDX-License-Identifier: Apache-2.0
"""Frames of TFRecord files are those of TensorFlow and of Beam, and damage is told."""

import io

import pytest
import tensorflow as tf
from apache_beam.io import tfrecordio
from hypothesis import given
from hypothesis import strategies as st

from panpipe.model import errors
from panpipe.model.storage import tfrecords

RECORDS = st.lists(st.binary(max_size=300), max_size=6)


@given(RECORDS)
def test_frames_are_those_of_beam(records):
    expected = io.BytesIO()
    for record in records:
        tfrecordio._TFRecordUtil.write_record(expected, record)
    assert b''.join(map(tfrecords.frame, records)) == expected.getvalue()
    assert list(tfrecords.unframe(io.BytesIO(expected.getvalue()))) == records


@given(RECORDS, st.data())
def test_any_changed_byte_or_cut_is_noticed(records, data):
    content = b''.join(map(tfrecords.frame, records or [b'']))
    place = data.draw(st.integers(0, len(content) - 1))
    damaged = bytearray(content)
    damaged[place] ^= data.draw(st.integers(1, 255))
    with pytest.raises(ValueError, match='byte'):
        list(tfrecords.unframe(io.BytesIO(bytes(damaged))))
    cut = content[:place]
    whole = {sum(len(r) + 16 for r in records[:n]) for n in range(len(records) + 1)}
    if place in whole:
        list(tfrecords.unframe(io.BytesIO(cut)))
    else:
        with pytest.raises(ValueError, match='byte'):
            list(tfrecords.unframe(io.BytesIO(cut)))


def test_tensorflow_reads_what_is_written_and_the_other_way_round(tmp_path):
    records = [b'', b'one', bytes(range(256)) * 40]
    path = tmp_path / 'mine'
    path.write_bytes(b''.join(map(tfrecords.frame, records)))
    assert list(tf.data.TFRecordDataset(str(path)).as_numpy_iterator()) == records
    with tf.io.TFRecordWriter(str(tmp_path / 'theirs')) as writer:
        for record in records:
            writer.write(record)
    assert list(tfrecords.read(tmp_path / 'theirs')) == records
    assert tfrecords.count(tmp_path / 'theirs') == 3


@pytest.mark.parametrize('content', [b'no record at all, but text', tfrecords.frame(b'whole')[:-1]])
def test_what_is_no_record_file_is_a_mistake_in_one_line(tmp_path, content):
    path = tmp_path / 'broken'
    path.write_bytes(content)
    for read in (tfrecords.count, lambda path: list(tfrecords.read(path))):
        with pytest.raises(
            errors.InputError, match=r'broken is no intact record file .*; convert the data again'
        ):
            read(path)
