# SPDX-License-Identifier: Apache-2.0
"""What training makes of one record, for people to look at."""

import contextlib
import dataclasses
import os
import tempfile
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from panpipe.model import config, datasets, tensors
from panpipe.model.inputs import mask_targets, pipeline
from panpipe.model.inputs import targets as targets_lib


class Crop(NamedTuple):
    """Holds an augmented training sample.

    Attributes:
      image: uint8 [crop_height, crop_width, 3].
      targets: numpy arrays of that size.
    """

    image: np.ndarray
    targets: tensors.AnyTargets


def targets(
    panoptic: np.ndarray, spec: datasets.DatasetSpec, options: config.DatasetOptions, has_masks: bool = False
) -> tensors.AnyTargets:
    """Computes the targets of a stored panoptic map, int32 [height, width], at its own size, as numpy arrays.

    Args:
      panoptic: ids of `spec.labels`.
      spec: the data set.
      options: say how wide a center is, and what small instances weigh.
      has_masks: those of a mask transformer.
    """
    _spare_accelerators()
    weighs_small = options.increase_small_instance_weights
    if has_masks:
        masks = mask_targets.targets(panoptic, spec.labels, max_things=options.max_thing_id)
        return tensors.MaskTargets(*(each.numpy() for each in masks[:4]))
    found = targets_lib.targets(
        tf.constant(panoptic),
        spec.labels,
        sigma=options.sigma,
        small_instance_threshold=options.small_instance_threshold if weighs_small else 0,
        small_instance_weight=options.small_instance_weight if weighs_small else 1.0,
    )
    return tensors.Targets(*(each.numpy() for each in found))


def crops(serialized: bytes, experiment: config.Experiment, number: int, seed: int) -> list[Crop]:
    """Makes augmented training samples of one record by the very pipeline that feeds training.

    Args:
      serialized: the record, annotated.
      experiment: its `train_dataset_options` say how samples are made; their files are not read.
      number: of samples.
      seed: of the augmentation.
    """
    _spare_accelerators()
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, 'record.tfrecord')
        with tf.io.TFRecordWriter(path) as writer:
            writer.write(serialized)
        options = dataclasses.replace(experiment.train_dataset_options, file_pattern=(path,))
        alone = dataclasses.replace(experiment, train_dataset_options=options)
        samples = pipeline.training_samples(alone, batch_size=1, seed=seed).take(number)
        return [samples_of(image, found, 1)[0] for image, found in samples.as_numpy_iterator()]


def samples_of(images: tensors.Array, found: tensors.AnyTargets, limit: int) -> list[Crop]:
    """Takes the first samples out of a batch.

    Args:
      images: float32 [batch, height, width, 3], 0 .. 255.
      found: their targets.
      limit: number of samples at most.
    """
    pixels = np.clip(np.round(np.asarray(images[:limit])), 0, 255).astype(np.uint8)
    arrays = [np.asarray(each[:limit]) for each in found if each is not None]
    kind = type(found)
    return [Crop(image, kind(*parts)) for image, *parts in zip(pixels, *arrays, strict=True)]


def _spare_accelerators() -> None:
    """Stays on the CPU: TensorFlow would take all memory of a GPU that may be training."""
    with contextlib.suppress(RuntimeError):  # too late where TensorFlow has begun
        tf.config.set_visible_devices([], 'GPU')
