# SPDX-License-Identifier: Apache-2.0
"""Joins the steps from record files to batches, for training and for evaluation."""

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from panpipe.model import config, datasets, errors, tensors
from panpipe.model import labels as labels_lib
from panpipe.model.inputs import augment, autoaugment, decode, reading, records, resize
from panpipe.model.inputs import targets as targets_lib

# Finished samples that wait for the network: each takes 84 MB for Cityscapes.
_PREFETCHED_SAMPLES = 2


class EvaluationSample(NamedTuple):
    """One image as evaluation wants it.

    Attributes:
      image: float32 [1, crop_height, crop_width, 3], 0 .. 255, resized and padded.
      targets: of the padded image, with a leading axis of 1; None without annotations.
      resized: int32 [2], (height, width) of the part of `image` that is no padding.
      raw: the record as it is stored, at its own resolution.
    """

    image: tensors.Array
    targets: tensors.Targets | None
    resized: tensors.Array
    raw: tensors.Sample


@dataclasses.dataclass(frozen=True)
class Recipe:
    """States how a decoded record becomes a sample.

    Attributes:
      labels: what the label integers mean.
      crop_size: (height, width) of the network's input.
      min_size: as in `resize.fit`.
      max_size: as in `resize.fit`.
      factor: as in `resize.fit`.
      scales: of random scaling.
      policy: of random changes of colour, or None.
      sigma: of the Gaussian at a center.
      small_instance_threshold: in pixels.
      small_instance_weight: of instances below the threshold.
    """

    labels: labels_lib.LabelSpec
    crop_size: resize.Size
    min_size: resize.Size | None
    max_size: resize.Size | None
    factor: int
    scales: augment.Scales
    policy: autoaugment.Policy | None
    sigma: float
    small_instance_threshold: int
    small_instance_weight: float

    @property
    def is_resized(self) -> bool:
        """Whether training samples are resized at all before augmentation."""
        return self.min_size is not None or self.max_size is not None

    def targets(self, panoptic: tf.Tensor) -> tensors.Targets:
        """Computes the targets of a panoptic map, or of a batch, of the network's input size."""
        return targets_lib.targets(
            panoptic,
            self.labels,
            sigma=self.sigma,
            small_instance_threshold=self.small_instance_threshold,
            small_instance_weight=self.small_instance_weight,
        )


def training_samples(
    experiment: config.Experiment, *, batch_size: int | None = None, seed: int | None = None, start: int = 0
) -> tf.data.Dataset:
    """Reads, augments and batches training samples, without end.

    Args:
      experiment: its `train_dataset_options` say which files and how.
      batch_size: samples a batch, of all replicas together; None means the experiment's.
      seed: makes order and augmentation the same in every run; None means different each time.
      start: samples that were consumed before, counted from the very first; with the same seed the dataset
        goes on where it would have been.

    Returns:
      Batches (image float32 [b, h, w, 3] 0 .. 255, Targets with a leading axis b).

    Raises:
      errors.InputError: no file matches, the files hold no annotated record, or one of another data set.
    """
    options = experiment.train_dataset_options
    has_instances = not experiment.model_options.is_semantic_only
    recipe = _recipe(options, has_instances)
    files, record_size = _inspect(options, 'train_dataset_options', recipe.labels, with_labels=True)
    if has_instances:
        _refuse_blurred(files, 'train_dataset_options')
    encoded = reading.shuffled(files, record_size, seed, start)
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
    recipe = _recipe(options, has_instances)
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
    recipe = _recipe(options, has_instances=False)
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


def _batch_of_one(image: tf.Tensor, panoptic: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    return image[None], panoptic[None]


def _with_targets(image: tf.Tensor, panoptic: tf.Tensor, recipe: Recipe) -> tuple[tf.Tensor, tensors.Targets]:
    return image, recipe.targets(panoptic)


def _training_sample(serialized: tf.Tensor, key: tf.Tensor, recipe: Recipe) -> tuple[tf.Tensor, tf.Tensor]:
    """Makes an image float32 [height, width, 3] and a panoptic map of one size."""
    _, image, panoptic = decode.decode(serialized, with_labels=True)
    size = tf.shape(panoptic)
    if recipe.is_resized:
        size = resize.fit(size[0], size[1], recipe.min_size, recipe.max_size, recipe.factor)
        image = resize.bilinear(image, size[0], size[1])
        panoptic = resize.nearest(panoptic, size[0], size[1])
    scaled = augment.draw_size(key, size[0], size[1], recipe.scales)
    if recipe.policy is not None:
        # The operations look at the whole scaled image, at its histogram for one.
        image = autoaugment.recolor(resize.bilinear(image, scaled[0], scaled[1]), key, recipe.policy)
    window = augment.draw_window(key, scaled, recipe.crop_size)
    image = augment.cut_image(image, window, recipe.crop_size)
    panoptic = augment.cut_label(panoptic, window, recipe.crop_size, recipe.labels.void)
    return image, panoptic


def _evaluation_sample(serialized: tf.Tensor, recipe: Recipe, with_labels: bool) -> EvaluationSample:
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
    targets = tf.nest.map_structure(lambda tensor: tensor[None], recipe.targets(panoptic))
    return EvaluationSample(image[None], targets, resized, raw)


def _recipe(options: config.DatasetOptions, has_instances: bool) -> Recipe:
    height, width = options.crop_size
    random = options.augmentations
    # As published, classes alone are learnt without weights of instances.
    weighs_small = options.increase_small_instance_weights and has_instances
    return Recipe(
        labels=datasets.find(options.dataset).labels,
        crop_size=(height, width),
        min_size=_limit(options.min_resize_value),
        max_size=_limit(options.max_resize_value),
        factor=options.resize_factor,
        scales=augment.Scales(
            random.min_scale_factor, random.max_scale_factor, random.scale_factor_step_size
        ),
        policy=autoaugment.find(random.autoaugment_policy_name) if random.autoaugment_policy_name else None,
        sigma=options.sigma,
        small_instance_threshold=options.small_instance_threshold if weighs_small else 0,
        small_instance_weight=options.small_instance_weight if weighs_small else 1.0,
    )


def _limit(size: Sequence[int]) -> resize.Size | None:
    """Turns a size of the configuration into (height, width): one value serves both, a value <= 0 is none."""
    if not size or min(size) <= 0:
        return None
    return size[0], size[-1]


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
        _check_classes(record, labels, f'{section}.dataset is {options.dataset}, but {file}')
    return files, len(first)


def _refuse_blurred(files: Sequence[str], section: str) -> None:
    blurred = reading.without_instances(files)
    if blurred:
        raise errors.InputError(
            f'{section}.file_pattern: {blurred} was converted with --semantic_only, so things are not told '
            'apart; convert again without, or set model_options.panoptic_deeplab.instance.enable: false'
        )


def _check_classes(record: records.Record, labels: labels_lib.LabelSpec, subject: str) -> None:
    classes = np.unique(labels.decode(record.panoptic)[0])
    foreign = classes[((classes < 0) | (classes >= labels.num_classes)) & (classes != labels.ignore_label)]
    if foreign.size:
        raise errors.InputError(
            f'{subject} holds class {foreign[0]} (image {record.image_id}); name the data set that it was '
            'converted from'
        )
