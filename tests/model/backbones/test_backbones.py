# SPDX-License-Identifier: Apache-2.0
"""Sizes of the encoders, and what a block does in training."""

import numpy as np
import pytest
import tensorflow as tf

from panpipe.model.backbones import blocks, mobilenet_v3, plan, resnet
from panpipe.model.layers import normalization

_NORM = normalization.BatchNorm()


def _mobilenet(table, **options):
    return mobilenet_v3.MobileNetV3(table, _NORM, **options)


def _resnet(layout, **options):
    return resnet.ResNet(layout, resnet.Options(**options), _NORM)


def _parameters(layer):
    return sum(int(np.prod(v.shape)) for v in layer.trainable_variables)


_WIDE = (128, 256, 512, 1024, 2048)


@pytest.mark.parametrize(
    ('make', 'parameters', 'channels'),
    [
        (lambda: _mobilenet(mobilenet_v3.SMALL), 927_008, (16, 16, 88, 144, 576)),
        (lambda: _mobilenet(mobilenet_v3.LARGE), 2_971_952, (16, 72, 120, 672, 960)),
        (lambda: _resnet(resnet.RESNET50), 23_508_032, (64, 256, 512, 1024, 2048)),
        (lambda: _resnet(resnet.RESNET50_BETA), 23_631_808, (128, 256, 512, 1024, 2048)),
        pytest.param(
            lambda: _resnet(resnet.MAX_DEEPLAB_S, output_stride=16),
            41_343_424,
            (128, 256, 512, 1024, 2048),
            marks=pytest.mark.slow,
        ),
        pytest.param(
            lambda: _resnet(resnet.AXIAL_SWIDERNET, output_stride=16),
            136_399_392,
            _WIDE,
            marks=pytest.mark.slow,
        ),
        pytest.param(lambda: _resnet(resnet.SWIDERNET), 109_014_080, _WIDE, marks=pytest.mark.slow),
        pytest.param(
            lambda: _resnet(resnet.SWIDERNET, sac_from_stride=32, output_stride=16),
            112_952_387,
            _WIDE,
            marks=pytest.mark.slow,
        ),
        pytest.param(lambda: _resnet(resnet.SWIDERNET, depth=3), 333_245_504, _WIDE, marks=pytest.mark.slow),
    ],
)
def test_numbers_of_parameters_and_channels(make, parameters, channels):
    encoder = make()
    features = encoder(tf.zeros((1, 33, 65, 3)))
    assert tuple(feature.shape[-1] for feature in features) == channels
    assert _parameters(encoder) == parameters


@pytest.mark.parametrize('output_stride', [8, 16, 32])
@pytest.mark.parametrize('make', [
    lambda stride: _mobilenet(mobilenet_v3.SMALL, output_stride=stride, width_multiplier=0.5),
    lambda stride: _mobilenet(mobilenet_v3.LARGE, output_stride=stride, width_multiplier=0.5),
    lambda stride: _resnet(resnet.RESNET50, output_stride=stride, width=0.125, stem_width=0.25),
    lambda stride: _resnet(resnet.SWIDERNET, output_stride=stride, width=0.0625, stem_width=0.0625),
])  # fmt: skip
def test_no_feature_is_coarser_than_the_output_stride(make, output_stride):
    features = make(output_stride)(tf.zeros((1, 65, 33, 3)))
    strides = [min(2**level, output_stride) for level in range(1, 6)]
    assert [tuple(f.shape[1:3]) for f in features] == [(64 // s + 1, 32 // s + 1) for s in strides]


def test_attention_replaces_convolutions_from_a_stride_on():
    encoder = _resnet(resnet.MAX_DEEPLAB_S, output_stride=16, width=0.25, stem_width=0.25)
    encoder(tf.zeros((1, 33, 33, 3)))
    found = {'/'.join(v.path.split('/')[1:3]) for v in encoder.weights if 'attention' in v.path}
    assert found == {f'stage4/block{i}' for i in range(2, 7)} | {f'stage5/block{i}' for i in range(1, 4)}
    # DeepLab2's names of what is special to these blocks.
    keys = {v.path.removeprefix('encoder/stage5/block1/attention/width_axis/') for v in encoder.weights}
    assert {'qkv_kernel', 'batch_norm_qkv/gamma', 'value_rpe/embeddings'} <= keys


def test_output_stride_changes_no_values_where_both_have_them():
    """Rates replace strides so that a weight sees the same pixels as before."""
    coarse, fine = (_resnet(resnet.RESNET50, output_stride=s, width=0.125, stem_width=0.25) for s in (32, 8))
    x = tf.random.stateless_uniform((1, 65, 65, 3), (0, 0), -1, 1)
    for encoder in (coarse, fine):
        encoder(x)
    for ours, theirs in zip(fine.weights, coarse.weights, strict=True):
        ours.assign(theirs)
    np.testing.assert_allclose(fine(x).res5[:, ::4, ::4], coarse(x).res5, rtol=1e-3, atol=1e-4)


def test_width_multiplier_of_mobilenet():
    features = _mobilenet(mobilenet_v3.SMALL, width_multiplier=0.5)(tf.zeros((1, 33, 33, 3)))
    assert [feature.shape[-1] for feature in features] == [8, 8, 56, 72, 288]


@pytest.mark.parametrize(('channels', 'expected'), [(8, 8), (3, 8), (12, 16), (11, 16), (88, 88), (37, 40)])
def test_divisible(channels, expected):
    assert mobilenet_v3.divisible(channels) == expected


def _block(survival, has_se=False):
    style = blocks.Style(_NORM, has_se=has_se, has_sac=False, survival=lambda _: survival)
    block = blocks.basic(4, plan.Place(4, 1, 1, 1), style, name='block1')
    block(tf.zeros((1, 3, 3, 4)))
    return block


def test_a_fresh_block_is_its_activated_input():
    x = tf.random.stateless_normal((2, 5, 5, 4), (0, 0))
    np.testing.assert_array_equal(_block(1.0, has_se=True)(x, training=True), tf.nn.relu(x))


def test_a_dropped_residual_leaves_the_shortcut_and_a_kept_one_grows():
    block = _block(0.5)
    for variable in block.trainable_variables:
        if variable.path.endswith('gamma'):
            variable.assign(tf.ones(4))
    x = tf.repeat(tf.random.stateless_normal((1, 5, 5, 4), (0, 0)), 40, axis=0)
    residual = np.array(block(x, training=True) - tf.nn.relu(x))
    # Images are equal, so that their residuals are equal in a batch too, or gone.
    sizes = np.abs(residual).reshape(40, -1).max(1)
    kept = sizes > 1e-6
    assert 5 < kept.sum() < 35
    np.testing.assert_allclose(
        residual[kept], np.broadcast_to(residual[kept][0], residual[kept].shape), atol=1e-5
    )
    whole = np.array(_same(block)(x, training=True) - tf.nn.relu(x))
    np.testing.assert_allclose(residual[kept][0], 2 * whole[0], atol=1e-4)


def _same(block):
    """Returns a block that never drops, with the same weights."""
    sure = _block(1.0)
    for ours, theirs in zip(sure.weights, block.weights, strict=True):
        ours.assign(theirs)
    return sure
