# SPDX-License-Identifier: Apache-2.0
"""Joins the steps from record files to batches, for training and for evaluation."""

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from panpipe.model import config, datasets, errors, tensors
from panpipe.model import labels as labels_lib
from panpipe.model.inputs import decode, reading, recipes, records, resize
from panpipe.model.storage import addresses, manifest

# Apart from the seeds that people choose.
_OTHER_SEED = 2**32
# Finished samples that wait for the network: each takes 84 MB for Cityscapes.
_PREFETCHED_SAMPLES = 2


class EvaluationSample(NamedTuple):
    """One image for evaluation.

    Attributes:
      image: float32 [1, crop_height, crop_width, 3], 0 .. 255, resized and padded.
      targets: of the padded image, with a leading axis of 1; None without annotations.
      resized: int32 [2], (height, width) of the part of `image` that is no padding.
      raw: the record as it is stored, at its own resolution.
    """

    image: tensors.Array
    targets: tensors.AnyTargets | None
    resized: tensors.Array
    raw: tensors.Sample


def training_samples(
    experiment: config.Experiment,
    *,
    batch_size: int | None = None,
    seed: int | None = None,
    start: int = 0,
    share: reading.Share = reading.WHOLE,
) -> tf.data.Dataset:
    """Reads, augments and batches training samples, without end.

    Args:
      experiment: its `train_dataset_options` say which files and how.
      batch_size: samples a batch; None means the experiment's.
      seed: makes order and augmentation the same in every run; None means different each time.
      start: samples that were consumed before, counted from the very first; with the same seed the dataset
        goes on where it would have been.
      share: which of the samples are wanted. All are read, but no others are decoded.

    Returns:
      Batches (image float32 [b, h, w, 3] 0 .. 255, Targets with a leading axis b; MaskTargets for a mask
      transformer).

    Raises:
      errors.InputError: no file matches, the files hold no annotated record, or one of another data set.
    """
    options = experiment.train_dataset_options
    has_instances = not experiment.model_options.is_semantic_only
    recipe = recipes.from_options(options, experiment.model_options)
    files, record_size = _inspect(options, 'train_dataset_options', recipe.labels, with_labels=True)
    if has_instances:
        _refuse_blurred(files, 'train_dataset_options')
    encoded = reading.shuffled(files, record_size, seed, start)
    if recipe.pasting is not None:
        other = None if seed is None else seed + _OTHER_SEED
        encoded = tf.data.Dataset.zip(encoded, reading.shuffled(files, record_size, other, start))
    if share.count > 1:
        encoded = encoded.filter(_plain(lambda *pairs: share.holds(_first_number(pairs))))
    batch_size = options.batch_size if batch_size is None else batch_size
    transform = functools.partial(_training_sample, recipe=recipe)
    join = functools.partial(_with_targets, recipe=recipe)
    side_by_side = {'num_parallel_calls': tf.data.AUTOTUNE, 'deterministic': seed is not None}
    if batch_size == 1:  # batching copies, which a batch of one can do without
        batches = encoded.map(_plain(lambda *pair: join(*_batch_of_one(*transform(*pair)))), **side_by_side)
    else:  # targets are twice as large as what they are computed from, so that is batched, not they
        samples = encoded.map(_plain(transform), **side_by_side)
        batches = samples.batch(batch_size, drop_remainder=True).map(_plain(join))
    threads = tf.data.Options()
    # Samples are made side by side; to divide the work on one of them as well costs time.
    threads.threading.max_intra_op_parallelism = 1
    return batches.prefetch(max(1, _PREFETCHED_SAMPLES // batch_size)).with_options(threads)


def evaluation_samples(experiment: config.Experiment) -> tf.data.Dataset:
    """Reads evaluation samples once, one by one, in the order of the files and of their records.

    Args:
      experiment: its `eval_dataset_options` say which files and how.

    Returns:
      `EvaluationSample`s.

    Raises:
      errors.InputError: no file matches, the files hold no record, or not what the experiment says.
    """
    options = experiment.eval_dataset_options
    has_instances = not experiment.model_options.is_semantic_only
    with_labels = options.decode_groundtruth_label
    recipe = recipes.from_options(options, experiment.model_options)
    files, _ = _inspect(options, 'eval_dataset_options', recipe.labels, with_labels)
    if has_instances and with_labels:
        _refuse_blurred(files, 'eval_dataset_options')
    transform = _plain(functools.partial(_evaluation_sample, recipe=recipe, with_labels=with_labels))
    samples = reading.ordered(files).map(transform, num_parallel_calls=tf.data.AUTOTUNE)
    return samples.prefetch(tf.data.AUTOTUNE)


def placement(
    options: config.DatasetOptions, *, use_op: bool = True
) -> Callable[[tf.Tensor], tuple[tf.Tensor, tf.Tensor]]:
    """Makes the function that brings an image to the network's input size: `resize.place`, set by options."""
    recipe = recipes.from_options(options, config.ModelOptions())
    return functools.partial(
        resize.place,
        crop_size=recipe.crop_size,
        min_size=recipe.min_size,
        max_size=recipe.max_size,
        factor=recipe.factor,
        use_op=use_op,
    )


def _plain(function: Callable[..., Any]) -> Callable[..., Any]:
    """Spares TensorFlow the search for Python's control flow on tensors: we have none, it takes 1 s."""
    return tf.autograph.experimental.do_not_convert(function)


def _first_number(pairs: Sequence[Any]) -> tf.Tensor:
    """Returns the number of a sample from (record, key), or from two such pairs of which the first counts."""
    _, key = pairs[0] if isinstance(pairs[0], tuple) else pairs
    return key[1]


def _batch_of_one(*parts: tf.Tensor) -> tuple[tf.Tensor, ...]:
    return tuple(part[None] for part in parts)


def _with_targets(
    image: tf.Tensor, panoptic: tf.Tensor, key: tf.Tensor, recipe: recipes.Recipe
) -> tuple[tf.Tensor, tensors.AnyTargets]:
    return image, recipe.targets(panoptic, key)


def _training_sample(*records: Any, recipe: recipes.Recipe) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Makes an image float32 [height, width, 3], a panoptic map, and the key of what losses draw.

    Args:
      *records: a record and its key, or two such pairs, where segments of the second are pasted.
      recipe: how.
    """
    first, second = (records, None) if recipe.pasting is None else records
    serialized, key = first
    if second is None:
        image, panoptic = recipes.picture(serialized, key, recipe)
    else:
        image, panoptic = recipes.pasted_picture(first, second, recipe)
    return image, panoptic, tf.random.experimental.stateless_fold_in(key, 4)


def _evaluation_sample(serialized: tf.Tensor, recipe: recipes.Recipe, with_labels: bool) -> EvaluationSample:
    raw = decode.decode(serialized, with_labels=with_labels)
    image, resized = resize.place(
        raw.image,
        recipe.crop_size,
        min_size=recipe.min_size,
        max_size=recipe.max_size,
        factor=recipe.factor,
    )
    if not with_labels:
        return EvaluationSample(image[None], None, resized, raw)
    panoptic = resize.place_label(raw.panoptic, resized, recipe.crop_size, recipe.labels.void)
    targets = recipe.targets(panoptic[None], tf.zeros([1, 2], tf.int32))
    return EvaluationSample(image[None], targets, resized, raw)


def _inspect(
    options: config.DatasetOptions, section: str, labels: labels_lib.LabelSpec, with_labels: bool
) -> tuple[list[str], int]:
    """Returns the record files and the bytes of their first record, after a look into it."""
    try:
        files = reading.find_files(options.file_pattern)
        file, first = reading.first_record(files)
        record = records.parse(first)
    except errors.InputError as error:
        raise errors.InputError(f'{section}.file_pattern: {error}') from error
    if with_labels and record.panoptic is None:
        raise errors.InputError(
            f'{section}.file_pattern: the records in {file} have no annotation; name an annotated split, '
            'or set decode_groundtruth_label: false to predict only'
        )
    if with_labels:
        _check_dataset(options, section, file)
        _check_classes(record, labels, f'{section}.dataset is {options.dataset}, but {file}')
    return files, len(first)


def _refuse_blurred(files: Sequence[str], section: str) -> None:
    blurred = reading.without_instances(files)
    if blurred:
        raise errors.InputError(
            f'{section}.file_pattern: {blurred} was converted with --semantic_only, so things are not told '
            'apart; convert again without, or set model_options.panoptic_deeplab.instance.enable: false'
        )


def _check_dataset(options: config.DatasetOptions, section: str, file: str) -> None:
    """Compares the configured data set with that of the manifest beside a file, if that tells."""
    told = manifest.read(addresses.parent(file))
    kept = datasets.of_copy(told.kept) if told else None
    difference = datasets.find(options.dataset).description.difference(kept.description) if kept else ''
    if kept and difference:
        raise errors.InputError(
            f'{section}.dataset is {options.dataset}, but {file} was converted from {kept.name}: '
            f'{difference}; name the data set that it was converted from, or convert again'
        )


def _check_classes(record: records.Record, labels: labels_lib.LabelSpec, subject: str) -> None:
    classes = np.unique(labels.decode(record.panoptic)[0])
    foreign = classes[((classes < 0) | (classes >= labels.num_classes)) & (classes != labels.ignore_label)]
    if foreign.size:
        raise errors.InputError(
            f'{subject} holds class {foreign[0]} (image {record.image_id}); name the data set that it was '
            'converted from'
        )
