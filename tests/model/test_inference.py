# SPDX-License-Identifier: Apache-2.0
"""Inference over scales and mirror images: equals the reference, and mirrors with the image."""

import pathlib

import numpy as np
import pytest
import tensorflow as tf

import weights
from panpipe.model import build, config, datasets, inference, tensors
from panpipe.model.postprocess import upsample

CONFIGS = pathlib.Path(__file__).parents[2] / 'model/configs'
RESNET50 = CONFIGS / 'cityscapes/panoptic_deeplab/resnet50_os32_merge_with_pure_tf_func.textproto'
SPEC = datasets.SPECS['cityscapes_panoptic'].labels
POSTPROCESSING = inference.Postprocessing(0.1, 7, 200, 0, use_op=False)
# What the reference prints for these weights and this image, scales .5, 1, 1.5 and flips.
POINTS = ((0, 0), (10, 20), (32, 64), (64, 128), (33, 100))
LOGITS = (
    (-0.219503, -0.018638, -0.027048, 0.178607),
    (-1.31079, 0.434096, -0.327163, 0.261321),
    (-1.613222, 0.423237, -0.827439, 0.642893),
    (-0.443154, -0.117171, -0.178944, 0.240348),
    (-1.694773, 0.455965, -0.739207, 0.454989),
)
CENTER = ((-0.135609,), (-0.130619,), (-0.152579,), (-0.092485,), (-0.114535,))
OFFSET = (
    (-0.133835, -0.092385),
    (-0.703254, 0.161583),
    (-0.41863, 0.256002),
    (-1.446789, -0.024089),
    (-0.146163, -0.172442),
)


def _linear(images, training=False, pool_scale=1.0):
    """A network in miniature: every head is a fixed mix of the pixels at stride 4."""
    small = images[:, ::4, ::4] / 255
    mix = tf.constant(np.random.default_rng(0).normal(size=(3, 22)), tf.float32)
    logits, center, offset = tf.split(tf.einsum('bhwc,cd->bhwd', small, mix), (19, 1, 2), axis=-1)
    return tensors.Heads(logits, center, offset * (pool_scale, 1.0))


def _images(height=33, width=65, seed=0):
    return np.random.default_rng(seed).uniform(0, 255, (1, height, width, 3)).astype(np.float32)


def test_one_plain_view_is_the_network_itself():
    images = tf.constant(_images())
    prediction, heads, _ = inference.predict(_linear, images, SPEC, inference.Views(), POSTPROCESSING)
    averaged, _ = inference.average(_linear, images, inference.Views())
    expected = upsample(_linear(images), 33, 65)
    for plain, view, wanted in zip(heads, averaged, expected, strict=True):
        np.testing.assert_array_equal(plain, wanted)
        np.testing.assert_array_equal(view, wanted)
    assert prediction.panoptic.shape == (1, 33, 65)


@pytest.mark.parametrize('scales', [(1.0,), (0.5, 1.0, 1.75)])
def test_a_mirrored_image_gives_mirrored_heads(scales):
    views, images = inference.Views(scales, adds_flipped=True), _images()
    heads, probability = inference.average(_linear, tf.constant(images), views)
    other, mirrored = inference.average(_linear, tf.constant(images[:, :, ::-1]), views)
    np.testing.assert_allclose(other.semantic_logits[:, :, ::-1], heads.semantic_logits, atol=1e-5)
    np.testing.assert_allclose(mirrored[:, :, ::-1], probability, atol=1e-6)
    np.testing.assert_allclose(other.offset[:, :, ::-1] * (1, -1), heads.offset, atol=1e-4)
    np.testing.assert_allclose(tf.reduce_sum(probability, -1), np.ones((1, 33, 65)), atol=1e-5)


def test_classes_follow_the_averaged_probabilities():
    """Two views, one sure of class 1 and one leaning to class 0: logits and probabilities disagree."""

    def network(images, training=False, pool_scale=1.0):
        leaning = (
            tf.one_hot(0, 19) * 3.0
            if pool_scale == 1.0
            else tf.one_hot(1, 19) * 8.0 - tf.one_hot(0, 19) * 20.0
        )
        logits = tf.broadcast_to(leaning, (1, 5, 5, 19)) + tf.one_hot(0, 19) * 10.0 * (pool_scale == 1.0)
        return tensors.Heads(logits, None, None)

    images, views = tf.zeros((1, 17, 17, 3)), inference.Views((1.0, 2.0))
    heads, probability = inference.average(network, images, views)
    prediction, _, _ = inference.predict(network, images, SPEC, views, POSTPROCESSING)
    assert heads.center_heatmap is None
    np.testing.assert_array_equal(prediction.semantic, tf.argmax(probability, -1))
    assert not np.array_equal(tf.argmax(heads.semantic_logits, -1), prediction.semantic)


@pytest.mark.slow
def test_several_views_equal_the_reference(monkeypatch):
    """ResNet-50, scales .5, 1, 1.5 and flips, on weights that follow from their names."""
    for name in ('EXPERIMENT_NAME', 'INIT_CHECKPOINT', 'TRAIN_SET', 'VAL_SET'):
        monkeypatch.setenv(name, 'unused')
    experiment = config.load(RESNET50, ['train_dataset_options.crop_size=65,129'])
    network = build.network(experiment)
    assert weights.fill(network) == 421
    image = np.random.RandomState(123).randint(0, 256, size=(1, 65, 129, 3)).astype(np.float32)
    views = inference.Views((0.5, 1.0, 1.5), adds_flipped=True)
    heads, probability = inference.average(network, tf.constant(image), views)
    for head, golden in zip(heads, (LOGITS, CENTER, OFFSET), strict=True):
        found = [head[0, y, x, :4] for y, x in POINTS]
        np.testing.assert_allclose(found, golden, atol=1e-4)
    statistics = ((-0.1058644, 0.7344915), (-0.2124043, 0.1415303), (-0.3080377, 0.4299289))
    for head, golden in zip(heads, statistics, strict=True):
        np.testing.assert_allclose((np.mean(head), np.std(head)), golden, rtol=1e-4)
    semantic = np.argmax(probability, -1)
    assert dict(zip(*np.unique(semantic, return_counts=True), strict=True)) == {6: 4834, 15: 3551}
