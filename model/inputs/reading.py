# SPDX-License-Identifier: Apache-2.0
"""Reads encoded records from TFRecord files, in order once or shuffled without end.

Records are shuffled while they are encoded: a decoded Cityscapes sample takes 15 times the memory.
"""

import dataclasses
import itertools
import os
import random
from collections.abc import Sequence

import tensorflow as tf

from panpipe.model import errors
from panpipe.model.storage import addresses, cache, manifest, record_sets, tfrecords

# As many files are read in turns, so that neighbours in a file part.
_FILES_AT_A_TIME = 32
_SHUFFLED_RECORDS = 1000
_SHUFFLED_BYTES = 256 * 2**20


@dataclasses.dataclass(frozen=True)
class Share:
    """Says which samples of a training this process makes, where several processes share the work.

    Of each `period` samples in the common order, it has those of the `index`-th of `count` equal parts. So
    all processes together see what one alone would see, batch by batch, whatever their number.

    Attributes:
      index: 0 is the first part.
      count: parts.
      period: samples, a multiple of `count`.
    """

    index: int = 0
    count: int = 1
    period: int = 1

    def holds(self, number: tf.Tensor) -> tf.Tensor:
        """Returns whether the sample of that number, counted from the very first, is in this share."""
        return tf.equal(number % self.period // (self.period // self.count), self.index)


WHOLE = Share()


def find_files(patterns: Sequence[str]) -> list[str]:
    """Lists the files that any of the patterns matches, sorted; a pattern may hold several, comma-separated.

    Raises:
      errors.InputError: there is no pattern, or one matches no file, or files of an incomplete set.
    """
    parts = [part for pattern in patterns for part in addresses.listed(pattern)]
    return [told.path for told in record_sets.find('records:', parts)]


def first_record(files: Sequence[str]) -> tuple[str, bytes]:
    """Returns the first file that holds a record, and that record.

    Raises:
      errors.InputError: the files hold no record, or are no record files.
    """
    for file in files:
        try:
            for record in tf.data.TFRecordDataset(cache.records([file])).take(1).as_numpy_iterator():
                return file, record
        except tf.errors.OpError as error:
            raise errors.InputError(
                f'{file} is no intact record file; give a pattern that matches records only, such as '
                f'{os.path.join(os.path.dirname(file), "train*")}, or convert again if it is one'
            ) from error
    raise errors.InputError(f'{files[0]} and what else matches hold no record; convert again')


def without_instances(files: Sequence[str]) -> str | None:
    """Returns the first file whose things were not told apart, as the manifests beside the files say."""
    for folder, group in itertools.groupby(files, addresses.parent):
        told = manifest.read(folder)
        splits = told.splits.values() if told else ()
        blurred = {shard.name for split in splits if not split.has_instances for shard in split.shards}
        for file in group:
            if addresses.name(file) in blurred:
                return file
    return None


def ordered(files: Sequence[str]) -> tf.data.Dataset:
    """Reads records file by file, once: string scalars."""
    return tf.data.TFRecordDataset(cache.records(files))


def count(files: Sequence[str]) -> int:
    """Counts records by their length headers, without reading them."""
    return sum(tfrecords.count(file) for file in cache.records(files))


def shuffled(files: Sequence[str], record_size: int, seed: int | None, start: int) -> tf.data.Dataset:
    """Reads records in random order, every record once an epoch, epoch after epoch.

    Args:
      files: paths; at least one holds a record.
      record_size: bytes of a typical record; says how many are held in memory.
      seed: makes the order and the keys the same in every run; None means different each time.
      start: records to leave out, where there is a seed; those of whole epochs are not even read.

    Returns:
      Pairs (record, key): string scalar, and int64 [2] for the chance in augmentation: the seed and the
      number of the record, counted from the very first.
    """
    is_deterministic = seed is not None
    if seed is None:
        seed = random.SystemRandom().getrandbits(31)
    paths = cache.records(files)
    buffer = max(1, min(_SHUFFLED_RECORDS, _SHUFFLED_BYTES // record_size))
    epoch, skipped = divmod(start, count(files)) if start and is_deterministic else (0, 0)

    def one_epoch(number: tf.Tensor) -> tf.data.Dataset:
        return _epoch(paths, tf.stack([tf.constant(seed, tf.int64), number]), buffer, is_deterministic)

    records = tf.data.Dataset.range(epoch, tf.int64.max).flat_map(one_epoch).skip(skipped)
    numbers = tf.data.Dataset.range(start, tf.int64.max)
    return tf.data.Dataset.zip(
        records, numbers.map(lambda number: tf.stack([tf.constant(seed, tf.int64), number]))
    )


def _epoch(files: list[str], key: tf.Tensor, buffer: int, is_deterministic: bool) -> tf.data.Dataset:
    # A seed set for the whole program would change the order too; this sets it for the present graph alone.
    tf.random.set_seed(1)
    names = tf.random.experimental.stateless_shuffle(tf.constant(files), key)
    # Chosen anew each epoch, or every epoch would read the same neighbours.
    seed = tf.random.stateless_uniform([], key, maxval=tf.int64.max, dtype=tf.int64)
    cycle = min(len(files), _FILES_AT_A_TIME)
    return (
        tf.data.Dataset.from_tensor_slices(names)
        .interleave(
            tf.data.TFRecordDataset,
            cycle_length=cycle,
            num_parallel_calls=min(cycle, 4),
            deterministic=is_deterministic,
        )
        .shuffle(buffer, seed=seed, reshuffle_each_iteration=False)
    )
