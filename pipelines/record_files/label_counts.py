# SPDX-License-Identifier: Apache-2.0
"""Counts what records hold, with the analyzers of TensorFlow Transform.

`analyze` is a `preprocessing_fn`: TensorFlow Transform traces it, evaluates its analyzers over all
records and keeps their values in the saved graph; `values` reads them from there.
"""

from collections.abc import Mapping

import numpy as np
import tensorflow as tf
import tensorflow_transform as tft

from panpipe.model import labels
from panpipe.model.inputs import records

# Parsed per batch. Labels are sparse, because records of a test split have none.
FEATURES: Mapping[str, tf.io.FixedLenFeature | tf.io.VarLenFeature] = {
    records.IMAGE_HEIGHT: tf.io.FixedLenFeature([], tf.int64),
    records.IMAGE_WIDTH: tf.io.FixedLenFeature([], tf.int64),
    records.LABEL_ENCODED: tf.io.VarLenFeature(tf.string),
    records.LABEL_FORMAT: tf.io.VarLenFeature(tf.string),
}

# Areas are described by quantiles 1 / NUM_AREA_BUCKETS apart.
NUM_AREA_BUCKETS = 20


def analyze(features: Mapping[str, tf.Tensor], codec: labels.LabelSpec) -> dict[str, tf.Tensor]:
    """Computes the statistics of all records; n is `codec.num_classes`, and all counts are int64.

    Returns:
      By name, each value repeated for every row of the batch:
        images, labelled, unreadable [1]: records, records with a label, and those whose label is damaged.
        height_min, height_max, height_sum [1], and the same of width.
        pixels [n + 2]: of each class, of void, and of ids that are no class.
        occurrences [n]: images that show a class.
        instances, crowds [n]: instances and crowd segments of each class.
        instances_max [1]: in one image.
        area_min, area_max, area_sum [1]: of instances, in pixels.
        area_quantiles float32 [NUM_AREA_BUCKETS - 1].
    """
    height, width = features[records.IMAGE_HEIGHT], features[records.IMAGE_WIDTH]
    encoded = _column(features[records.LABEL_ENCODED], height)
    formats = _column(features[records.LABEL_FORMAT], height)
    maps = decode(encoded, formats, height, width)
    pixels, instances, crowds, areas = count(maps, codec)
    is_labelled = tf.strings.length(encoded) > 0
    is_unreadable = is_labelled & (maps.row_lengths() == 0)
    facts = {
        'images': tft.sum(tf.ones_like(height)),
        'labelled': tft.sum(tf.cast(is_labelled, tf.int64)),
        'unreadable': tft.sum(tf.cast(is_unreadable, tf.int64)),
        **_extent('height', height),
        **_extent('width', width),
        **_extent('area', areas.flat_values),
        'area_quantiles': tft.quantiles(tf.cast(areas.flat_values, tf.float32), NUM_AREA_BUCKETS, 0.001),
        'pixels': tft.sum(pixels, reduce_instance_dims=False),
        'occurrences': tft.sum(tf.cast(pixels[:, :-2] > 0, tf.int64), reduce_instance_dims=False),
        'instances': tft.sum(instances, reduce_instance_dims=False),
        'instances_max': tft.max(tf.reduce_sum(instances, axis=1)),
        'crowds': tft.sum(crowds, reduce_instance_dims=False),
    }
    rows = tf.size(height)
    return {name: tf.tile(tf.reshape(value, [1, -1]), [rows, 1]) for name, value in facts.items()}


def values(graph: str) -> dict[str, np.ndarray]:
    """Reads the values of `analyze` from the folder that `WriteTransformFn` wrote."""
    number = tf.zeros([1], tf.int64)
    nothing = tf.sparse.from_dense([['']])
    row = {
        name: number if isinstance(feature, tf.io.FixedLenFeature) else nothing
        for name, feature in FEATURES.items()
    }
    facts = tft.TFTransformOutput(graph).transform_raw_features(row)
    return {name: value.numpy()[0] for name, value in facts.items()}


def _extent(name: str, numbers: tf.Tensor) -> dict[str, tf.Tensor]:
    return {
        f'{name}_min': tft.min(numbers),
        f'{name}_max': tft.max(numbers),
        f'{name}_sum': tft.sum(numbers),
    }


def _column(sparse: tf.SparseTensor, like: tf.Tensor) -> tf.Tensor:
    """Makes string [batch] of a feature with at most one value a record; '' where it is absent."""
    shape = tf.stack([tf.size(like, out_type=tf.int64), 1])
    return tf.sparse.to_dense(tf.sparse.reset_shape(sparse, shape), default_value='')[:, 0]


def decode(encoded: tf.Tensor, formats: tf.Tensor, height: tf.Tensor, width: tf.Tensor) -> tf.RaggedTensor:
    """Decodes labels to panoptic ids, one row of height * width an image.

    Args:
      encoded, formats: string [batch], a label and how it is stored.
      height, width: int64 [batch].

    Returns:
      int32 [batch, (pixels)]; a row is empty where the label is absent or does not fit its size and format.
    """

    def one(row: tuple[tf.Tensor, ...]) -> tf.Tensor:
        label, label_format, size = row
        plain = tf.case(
            [
                (label_format == 'zlib', lambda: tf.io.decode_compressed(label, 'ZLIB')),
                (label_format == 'raw', lambda: label),
                (label_format == '', lambda: label),  # older records do not say that they are raw
            ],
            default=lambda: tf.constant(''),
        )
        is_whole = tf.cast(tf.strings.length(plain), tf.int64) == 4 * size
        return tf.io.decode_raw(tf.where(is_whole, plain, ''), tf.int32)

    signature = tf.RaggedTensorSpec([None], tf.int32, ragged_rank=0)
    return tf.map_fn(one, (encoded, formats, height * width), fn_output_signature=signature)


def count(maps: tf.RaggedTensor, codec: labels.LabelSpec) -> tuple[tf.Tensor, ...]:
    """Counts what each row of panoptic ids shows.

    Returns:
      int64 each, with n = `codec.num_classes`: pixels [batch, n + 2], instances and crowds [batch, n],
      and the areas of the instances [batch, (instances)].
    """
    num_classes = codec.num_classes
    is_thing = tf.constant(codec.thing_table()[:num_classes])

    def one(ids: tf.Tensor) -> tuple[tf.Tensor, ...]:
        segments, _, areas = tf.unique_with_counts(ids, out_idx=tf.int64)
        semantic, instance = codec.decode(segments)
        bucket = tf.where((semantic >= 0) & (semantic < num_classes), semantic, num_classes + 1)
        bucket = tf.where(semantic == codec.ignore_label, num_classes, bucket)
        things = (bucket < num_classes) & tf.gather(is_thing, tf.minimum(bucket, num_classes - 1))
        pixels = tf.math.unsorted_segment_sum(areas, bucket, num_classes + 2)
        kinds = [
            tf.math.bincount(tf.boolean_mask(bucket, chosen), minlength=num_classes, dtype=tf.int64)
            for chosen in (things & (instance > 0), things & (instance == 0))
        ]
        return pixels, *kinds, tf.boolean_mask(areas, things & (instance > 0))

    signature = (
        tf.TensorSpec([num_classes + 2], tf.int64),
        tf.TensorSpec([None], tf.int64),
        tf.TensorSpec([None], tf.int64),
        tf.RaggedTensorSpec([None], tf.int64, ragged_rank=0),
    )
    pixels, instances, crowds, areas = tf.map_fn(one, maps, fn_output_signature=signature)
    return (
        pixels,
        tf.ensure_shape(instances, [None, num_classes]),
        tf.ensure_shape(crowds, [None, num_classes]),
        areas,
    )
