# SPDX-License-Identifier: Apache-2.0
"""What people are shown is what training sees."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

import experiments
import synthetic
from panpipe.model import config, datasets
from panpipe.model.inputs import pipeline, previews, records

SPEC = datasets.SPECS['cityscapes_panoptic']
HEIGHT, WIDTH = 33, 65


def _serialized():
    sample = synthetic.sample(np.random.default_rng(0), SPEC.labels, HEIGHT, WIDTH)
    encoded = tf.io.encode_png(sample.image).numpy()
    return records.serialize(records.Record('a', encoded, 'png', HEIGHT, WIDTH, sample.panoptic))


def test_targets_are_those_of_the_training_pipeline(tmp_path):
    """Without augmentation, a training sample has the targets that are shown at the record's own size."""
    path = tmp_path / 'a.tfrecord'
    with tf.io.TFRecordWriter(str(path)) as writer:
        writer.write(_serialized())
    plain = [f'train_dataset_options.augmentations.{name}_scale_factor=1' for name in ('min', 'max')]
    experiment = experiments.load(str(path), 4, *plain)
    options = experiment.train_dataset_options
    found = previews.targets(records.parse(_serialized()).panoptic, SPEC, options)
    (sample,) = pipeline.evaluation_samples(experiment).as_numpy_iterator()
    for name, shown in found._asdict().items():
        assert isinstance(shown, np.ndarray)
        np.testing.assert_array_equal(shown, getattr(sample.targets, name)[0], err_msg=name)


@pytest.mark.parametrize(('weighs', 'largest'), [(True, 5.0), (False, 1.0)])
def test_small_things_weigh_what_the_options_say(weighs, largest):
    options = config.DatasetOptions(increase_small_instance_weights=weighs, small_instance_weight=5.0)
    found = previews.targets(records.parse(_serialized()).panoptic, SPEC, options)
    assert found.semantic_weight.max() == largest


def test_crops_are_drawn_anew_and_alike_for_the_same_seed():
    experiment = experiments.load('absent')
    first, second, again, other = (
        previews.crops(_serialized(), experiment, number, seed)
        for number, seed in ((3, 0), (1, 0), (3, 0), (3, 1))
    )
    assert len(first) == 3
    for crop in first:
        assert crop.image.shape == (HEIGHT, WIDTH, 3)
        assert crop.image.dtype == np.uint8
        assert crop.targets.semantic.shape == (HEIGHT, WIDTH)
        assert crop.targets.offset.shape == (HEIGHT, WIDTH, 2)
    pixels = [np.stack([crop.image for crop in crops]) for crops in (first, again, other)]
    np.testing.assert_array_equal(pixels[0], pixels[1])
    assert (pixels[0] != pixels[2]).any()
    np.testing.assert_array_equal(second[0].image, first[0].image)
    assert (first[0].image != first[1].image).any()


def test_the_batch_size_of_the_experiment_does_not_count():
    experiment = experiments.load('absent')
    larger = dataclasses.replace(experiment.train_dataset_options, batch_size=8)
    crops = previews.crops(_serialized(), dataclasses.replace(experiment, train_dataset_options=larger), 1, 0)
    assert len(crops) == 1
