# SPDX-License-Identifier: Apache-2.0
"""Networks compute what the reference computes, on weights that follow from the variables' names."""

import json
import pathlib

import numpy as np
import pytest
import tensorflow as tf

import shared
import weights
from panpipe.model import build, checkpoints, config
from panpipe.model.postprocess import upsample

_ROOT = pathlib.Path(__file__).parents[2]
# Written by DeepLab2 (commit 64bc1c1, TensorFlow 2.13) for the image and the weights below: mean, standard
# deviation, smallest and largest value of each tensor, and some values at (y, x).
_GOLDEN = json.loads((_ROOT / 'tests/golden/networks.json').read_text())
_FAST = ('cityscapes/panoptic_deeplab/mobilenet_v3_small_os16', 'example/example_cityscapes_deeplabv3plus')
_PLACEHOLDERS = ('EXPERIMENT_NAME', 'INIT_CHECKPOINT', 'TRAIN_SET', 'VAL_SET')
_HEIGHT, _WIDTH = 65, 129


def _load(name, monkeypatch, *overrides):
    for variable in _PLACEHOLDERS:
        monkeypatch.setenv(variable, 'unused')
    crop = f'train_dataset_options.crop_size={_HEIGHT},{_WIDTH}'
    return config.load(_ROOT / f'model/configs/{name}.textproto', [crop, *overrides])


def _image(seed=123, batch=1):
    shape = (batch, _HEIGHT, _WIDTH, 3)
    return np.random.RandomState(seed).randint(0, 256, size=shape).astype(np.float32)


@pytest.mark.parametrize(
    'name', [n if n in _FAST else pytest.param(n, marks=pytest.mark.slow) for n in _GOLDEN]
)
def test_heads_equal_the_reference(name, monkeypatch):
    network = build.network(_load(name, monkeypatch))
    assert weights.fill(network) == _GOLDEN[name]['variables']
    found = network.encoder(_image() / 127.5 - 1)._asdict()
    heads = upsample(network(_image()), _HEIGHT, _WIDTH)
    found |= {'semantic_logits': heads.semantic_logits, 'center_heatmap': heads.center_heatmap}
    found |= {'offset_map': heads.offset}
    for tensor, golden in _GOLDEN[name]['tensors'].items():
        value = np.array(found[tensor], np.float64)
        statistics = [value.mean(), value.std(), value.min(), value.max()]
        np.testing.assert_allclose(statistics, golden['statistics'], rtol=1e-4, atol=1e-5, err_msg=tensor)
        for (y, x), channels in golden.get('points', []):
            np.testing.assert_allclose(value[0, y, x, :4], channels, rtol=1e-4, atol=1e-4, err_msg=tensor)


@pytest.fixture(scope='module')
def restored():
    """A trained MobileNet, its configuration's network, and the reference's outputs."""
    folder = shared.golden('checkpoints') / 'mobilenet_v3_small_os32'
    with pytest.MonkeyPatch.context() as patch:
        for variable in _PLACEHOLDERS:
            patch.setenv(variable, 'unused')
        network = build.network(config.load(folder / 'config.textproto'))
    checkpoints.restore(network, folder / 'ckpt-0')
    return network, np.load(shared.golden('models') / 'mobilenet_v3_small_os32.npz')


def test_a_restored_network_equals_the_reference(restored):
    network, golden = restored
    heads = network(golden['input_image'], training=False)
    names = ('semantic_logits', 'center_heatmap', 'offset_map')
    for head, name, tolerance in zip(heads, names, (2e-4, 1e-4, 2e-4), strict=True):
        np.testing.assert_allclose(head, golden[f'raw_{name}'], atol=tolerance)
    for head, name in zip(upsample(heads, 129, 257), names, strict=True):
        np.testing.assert_allclose(np.squeeze(head), np.squeeze(golden[f'out_{name}']), atol=1e-3)


def test_a_batch_of_two_equals_two_batches_of_one(restored):
    network, _ = restored
    images = _image(batch=2)
    together = network(images)
    apart = [network(images[i : i + 1]) for i in range(2)]
    for both, *single in zip(together, *apart, strict=True):
        np.testing.assert_allclose(both, np.concatenate(single), atol=1e-4)


def test_traced_equals_eager(restored):
    network, _ = restored
    for traced, eager in zip(tf.function(network)(_image()), network(_image()), strict=True):
        np.testing.assert_allclose(traced, eager, atol=1e-3)


def test_training_reaches_every_variable_and_moves_all_statistics(restored):
    network, _ = restored
    saved = [np.array(v) for v in network.weights]

    @tf.function
    def step(images):
        with tf.GradientTape() as tape:
            heads = network(images, training=True)
            loss = sum(tf.reduce_mean(head**2) for head in heads)
        return tape.gradient(loss, [v.value for v in network.trainable_variables])

    gradients = step(_image(batch=2))
    assert all(gradient is not None and np.isfinite(gradient).all() for gradient in gradients)
    moved = [(v, before) for v, before in zip(network.weights, saved, strict=True) if not v.trainable]
    assert moved
    assert all(not np.array_equal(np.array(v), before) for v, before in moved)
    for variable, value in zip(network.weights, saved, strict=True):
        variable.assign(value)


def test_without_an_instance_branch_there_is_no_instance(monkeypatch):
    off = 'model_options.panoptic_deeplab.instance.enable=false'
    heads = build.network(_load(_FAST[0], monkeypatch, off))(_image())
    assert heads.semantic_logits.shape == (1, 17, 33, 19)
    assert heads.center_heatmap is None
    assert heads.offset is None
