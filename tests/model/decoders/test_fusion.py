# SPDX-License-Identifier: Apache-2.0
"""Decoders join features from coarse to fine, and heads end in a linear layer."""

import numpy as np
import pytest
import tensorflow as tf

from panpipe.model import config, errors
from panpipe.model.backbones import endpoints
from panpipe.model.building import parts
from panpipe.model.decoders import deeplab_v3, fusion, heads, pixel_decoder
from panpipe.model.layers import composite, convolution, normalization, resize

_NORM = normalization.BatchNorm()


class _Scaled(composite.Composite):
    """Stands for ASPP: multiplies by the scale of the window."""

    def call(self, x, pool_scale=1.0):
        return x * pool_scale


def _endpoints():
    sizes = {'res1': 33, 'res2': 17, 'res3': 9, 'res4': 5, 'res5': 3}
    rng = np.random.default_rng(0)
    drawn = {n: rng.normal(size=(1, s, s, 4)).astype(np.float32) for n, s in sizes.items()}
    return endpoints.Endpoints(**drawn)


def _decoder():
    fusing = fusion.Fusing(6, convolution.separable, _NORM)
    levels = [fusing.low_level(1, 'res3', 2), fusing.low_level(2, 'res2', 2)]
    return fusion.Decoder('res5', _Scaled(name='aspp'), levels, name='decoder')


def test_a_decoder_ends_at_the_stride_of_its_last_level():
    assert _decoder()(_endpoints()).shape == (1, 17, 17, 6)


def test_a_decoder_is_its_parts_one_after_another():
    decoder, features = _decoder(), _endpoints()
    found = decoder(features)
    x = tf.constant(features.res5)
    for project, fuse, low in zip(decoder.project, decoder.fuse, (features.res3, features.res2), strict=True):
        small = project(low)
        x = fuse(tf.concat([resize.like(x, small), small], -1))
    np.testing.assert_allclose(found, x, rtol=1e-4, atol=1e-6)
    assert not np.array_equal(found, decoder(features, pool_scale=2.0))


def test_the_layers_of_a_decoder_have_deeplab2s_names():
    decoder = _decoder()
    decoder(_endpoints())
    paths = {weight.path for weight in decoder.weights}
    for name in (
        'low_level_conv1',
        'low_level_conv2',
        'fusion_conv1/conv1_bn_act',
        'fusion_conv2/conv1_bn_act',
    ):
        assert any(f'{name}/' in path for path in paths), (name, sorted(paths))


def test_a_head_is_a_5x5_convolution_and_a_linear_one():
    x = np.random.default_rng(0).normal(size=(1, 7, 9, 3)).astype(np.float32)
    hidden = heads.hidden(4, convolution.standard, _NORM, name='head')(x)
    last = heads.last(2, name='last')
    found = np.array(last(hidden))
    assert (hidden.shape, found.shape) == ((1, 7, 9, 4), (1, 7, 9, 2))
    assert np.array(hidden).min() == 0  # ReLU
    kernel = next(np.array(weight) for weight in last.weights if weight.path.endswith('kernel'))
    np.testing.assert_allclose(found, np.array(hidden) @ kernel[0, 0], rtol=1e-5, atol=1e-6)
    assert np.abs(kernel).max() < 0.05  # truncated at two of its standard deviations, 0.01


def test_deeplab_v3_joins_at_the_size_of_the_fine_feature():
    high, low = tf.ones((1, 3, 3, 2)), tf.zeros((1, 5, 9, 4))
    joined = deeplab_v3.join(high, low)
    assert joined.shape == (1, 5, 9, 6)
    np.testing.assert_array_equal(joined[..., :2], np.ones((1, 5, 9, 2)))
    fused = deeplab_v3.fuse(7, _NORM, name='fuse')(joined)
    assert deeplab_v3.last(3, name='last')(fused).shape == (1, 5, 9, 3)


def test_the_pixel_decoder_of_masks_returns_a_map_for_each_level():
    stages = endpoints.Stages(*(tf.zeros((1, size, size, 8)) for size in (9, 5, 3, 2, 2)))
    decoder = pixel_decoder.PixelDecoder(3, _NORM, width=0.0625)
    found = decoder(stages)
    assert [tuple(x.shape) for x in found] == [(1, 2, 2, 128), (1, 2, 2, 64), (1, 3, 3, 32)]


@pytest.mark.parametrize(
    ('keys', 'words'),
    [
        (('res5', 'res2', 'res3'), 'the decoder joins res5, res2, res3; order its features from low to high'),
        (('res5', 'res9'), "feature_key is 'res9'; it is one of res1, res2, res3, res4, res5"),
    ],
)
def test_features_in_no_order_and_unknown_ones_are_refused(keys, words):
    made = parts.Parts(_NORM, None)
    levels = [config.LowLevelOptions(feature_key=key, channels_project=2) for key in keys[1:]]
    with pytest.raises(errors.InputError, match=words):
        made.decoder(config.DecoderOptions(feature_key=keys[0]), levels, 'decoder')
