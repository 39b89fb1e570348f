# SPDX-License-Identifier: Apache-2.0
"""Decoding and counting of labels, without a pipeline."""

import zlib

import numpy as np
import tensorflow as tf

import synthetic
from panpipe.model import datasets
from panpipe.pipelines.record_files import label_counts


def test_decodes_both_formats_and_refuses_what_does_not_fit():
    ids = np.arange(6, dtype='<i4').tobytes()
    encoded = [zlib.compress(ids), ids, ids, b'', ids[:-1], ids, ids]
    formats = ['zlib', 'raw', '', 'raw', 'raw', 'png', 'raw']
    widths = tf.constant([3, 3, 3, 3, 3, 3, 4], tf.int64)
    rows = label_counts.decode(tf.constant(encoded), tf.constant(formats), 0 * widths + 2, widths)
    assert rows.to_list() == [list(range(6))] * 3 + [[]] * 4


def test_counts_segments():
    labels = synthetic.SMALL  # 6 classes, things 2, 3 and 5, divisor 100, void 255
    first = [0, 101, 201, 201, 202, 500, 25500]  # an instance number of stuff is ignored
    second = [700, -1, 501, 501, 501, 501, 25499]
    rows = tf.ragged.constant([first, second, []], tf.int32)
    pixels, instances, crowds, areas = label_counts.count(rows, labels)
    assert pixels.numpy().tolist() == [[1, 1, 3, 0, 0, 1, 1, 0], [0, 0, 0, 0, 0, 4, 0, 3], [0] * 8]
    assert instances.numpy().tolist() == [[0, 0, 2, 0, 0, 0], [0, 0, 0, 0, 0, 1], [0] * 6]
    assert crowds.numpy().tolist() == [[0, 0, 0, 0, 0, 1], [0] * 6, [0] * 6]
    assert areas.to_list() == [[2, 1], [4], []]


def test_void_may_be_one_of_the_class_ids():
    coco = datasets.SPECS['coco_panoptic'].labels
    rows = tf.ragged.constant([[0, 0, 257, 256, 133 * 256]], tf.int32)
    pixels, instances, crowds, _ = label_counts.count(rows, coco)
    assert {i: int(n) for i, n in enumerate(pixels[0]) if n} == {1: 2, 133: 1, coco.num_classes: 2}
    assert (int(instances[0, 1]), int(crowds[0, 1])) == (1, 1)
