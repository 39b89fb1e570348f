# SPDX-License-Identifier: Apache-2.0
"""kMaX-DeepLab computes what the reference computes, on weights that follow from the variables' names."""

import json
import pathlib

import numpy as np
import pytest
import tensorflow as tf

import shared
import weights
from panpipe.model import build, config

_CONFIGS = pathlib.Path(__file__).parents[2] / 'model/configs'
_HEADS = (
    ('pixel_space_mask_logits', 2e-4),
    ('transformer_class_logits', 1e-4),
    ('pixel_space_normalized_feature', 5e-6),
    ('semantic_logits', 1e-4),
)


def _golden(name):
    arrays = np.load(shared.golden('kmax') / f'forward/{name}.npz', allow_pickle=False)
    return arrays, json.loads(str(arrays['args_json']))


def _network(name, size, *overrides):
    with pytest.MonkeyPatch.context() as patch:
        for variable in ('EXPERIMENT_NAME', 'INIT_CHECKPOINT', 'TRAIN_SET', 'VAL_SET'):
            patch.setenv(variable, '')
        # Unchecked: the files' own resizing does not go with so small a crop.
        text = (_CONFIGS / f'{name}.textproto').read_text()
        experiment = config.loads(text, name, [f'train_dataset_options.crop_size={size}', *overrides])
    return build.network(experiment)


@pytest.fixture(
    scope='module',
    params=[
        '00_coco_r50',
        pytest.param('01_coco_convnext_tiny', marks=pytest.mark.slow),
        pytest.param('02_cityscapes_r50', marks=pytest.mark.slow),
    ],
)
def case(request):
    """A network with drawn weights, an image, and what the reference computed."""
    golden, facts = _golden(request.param)
    network = _network(facts['config'], '65,129')
    assert weights.fill(network, weights.mask_value) == facts['keys']
    shape = (1, *facts['crop_size'], 3)
    image = np.random.RandomState(facts['image_seed']).randint(0, 256, shape).astype(np.float32)
    return network, image, golden, facts


def test_heads_equal_the_reference(case):
    network, image, golden, facts = case
    assert sum(int(np.prod(v.shape)) for v in network.trainable_variables) == facts['trainable']
    for head, (name, tolerance) in zip(network(image), _HEADS, strict=True):
        np.testing.assert_allclose(head, golden[f'out_{name}'], atol=tolerance, err_msg=name)


def test_inner_features_and_assignments_equal_the_reference(case):
    network, image, golden, _ = case
    stages = network.encoder(image / 127.5 - 1)
    levels = network.pixel_decoder(stages)
    decoded = network.transformer_decoder(levels)
    np.testing.assert_allclose(stages.stage5, golden['stage5'], atol=5e-5)
    np.testing.assert_allclose(levels[0], golden['decoder_stage1'], atol=5e-5)
    names = [f'decoder_stage{number}' for number in range(1, len(levels))]
    found = {
        **{f'encoder/{name}': x for name, x in stages._asdict().items()},
        **{f'encoder/{k}': x for k, x in stages.activated(network.encoder.activation)._asdict().items()},
        **{f'pixel_decoder/{k}': x for k, x in zip([*names, 'decoder_output'], levels, strict=True)},
    }
    for layer, heads in enumerate(decoded.auxiliary):
        np.testing.assert_array_equal(np.argmax(heads.mask_logits, -1), golden[f'assign_{layer}'])
        found |= {f'aux_{layer}/{k}': x for (k, _), x in zip(_HEADS[:3], heads[:3], strict=True)}
    statistics = dict(zip(golden['stat_names'], golden['stat_values'], strict=True))
    for name, x in found.items():
        x = np.asarray(x, np.float64)
        ours = [x.std(), np.abs(x).sum()]
        np.testing.assert_allclose(ours, statistics[name][1:3], rtol=1e-5, err_msg=name)


def test_training_adds_one_set_of_heads_a_layer(case):
    network, image, _, _ = case
    saved = [np.array(v) for v in network.weights]
    main, auxiliary = network(np.repeat(image, 2, axis=0), training=True)
    for variable, value in zip(network.weights, saved, strict=True):
        variable.assign(value)
    assert len(auxiliary) == 6
    for heads in auxiliary:
        assert heads.mask_logits.shape == main.mask_logits.shape
        assert heads.class_logits.shape == main.class_logits.shape
        assert heads.pixel_feature.shape == main.pixel_feature.shape
        assert heads.semantic_logits is None


@pytest.mark.slow
def test_compiled_equals_eager(case):
    network, image, _, _ = case
    compiled = tf.function(network, jit_compile=True)(image)
    for ours, eager in zip(compiled, network(image), strict=True):
        np.testing.assert_allclose(ours, eager, atol=1e-3)
