# SPDX-License-Identifier: Apache-2.0
"""A small experiment on tiny records, for the tests of jobs that need a whole configuration."""

import pathlib

import numpy as np
import tensorflow as tf

import synthetic
from panpipe.model import config, datasets
from panpipe.model.inputs import records

CONFIG = pathlib.Path(__file__).parents[1] / 'model/configs/toy/cityscapes_mobilenet_v3_small.textproto'
SPEC = datasets.SPECS['cityscapes_panoptic']
_HEIGHT, _WIDTH = 33, 65


def write_records(folder: pathlib.Path, count: int = 4) -> str:
    """Writes one record file of random samples at the network's input size; returns its path."""
    path = folder / 'train-00000-of-00001.tfrecord'
    with tf.io.TFRecordWriter(str(path)) as writer:
        for index in range(count):
            sample = synthetic.sample(np.random.default_rng(index), SPEC.labels, _HEIGHT, _WIDTH)
            encoded = tf.io.encode_png(sample.image).numpy()
            record = records.Record(f'image_{index}', encoded, 'png', _HEIGHT, _WIDTH, sample.panoptic)
            writer.write(records.serialize(record))
    return str(path)


def overrides(pattern: str, steps: int = 4, *more: str) -> list[str]:
    """Names the fields that make the toy experiment tiny."""
    size = f'{_HEIGHT},{_WIDTH}'
    fields = [f'{part}_dataset_options.{name}={size}' for part in ('train', 'eval') for name in (
        'crop_size', 'min_resize_value', 'max_resize_value',
    )]  # fmt: skip
    return [
        *fields,
        f'train_dataset_options.file_pattern={pattern}',
        f'eval_dataset_options.file_pattern={pattern}',
        'train_dataset_options.batch_size=2',
        'trainer_options.steps_per_loop=2',
        'trainer_options.save_checkpoints_steps=2',
        'trainer_options.save_summaries_steps=2',
        f'trainer_options.solver_options.training_number_of_steps={steps}',
        *more,
    ]


def load(pattern: str, steps: int = 4, *more: str) -> config.Experiment:
    """Loads the tiny experiment on the records of a pattern."""
    return config.load(CONFIG, overrides(pattern, steps, *more))
