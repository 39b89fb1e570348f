# SPDX-License-Identifier: Apache-2.0
"""Networks compute what the reference computes, on weights that follow from the variables' names."""

import json
import pathlib

import keras
import numpy as np
import pytest
import tensorflow as tf

import shared
import weights
from panpipe.model import build, checkpoints, config, datasets, tensors
from panpipe.model.losses import total
from panpipe.model.postprocess import upsample

_ROOT = pathlib.Path(__file__).parents[2]
# Written by DeepLab2 (commit 64bc1c1, TensorFlow 2.13) for the image and the weights below: mean, standard
# deviation, smallest and largest value of each tensor, and some values at (y, x).
_GOLDEN = json.loads((_ROOT / 'tests/golden/networks.json').read_text())
_FAST = ('cityscapes/panoptic_deeplab/mobilenet_v3_small_os16', 'example/example_cityscapes_deeplabv3plus')
_PLACEHOLDERS = ('EXPERIMENT_NAME', 'INIT_CHECKPOINT', 'TRAIN_SET', 'VAL_SET')
_HEIGHT, _WIDTH = 65, 129
_LOSSES = config.LossOptions(
    config.SingleLossOptions('softmax_cross_entropy', 1.0, 0.2),
    config.SingleLossOptions('mse', 200.0),
    config.SingleLossOptions('l1', 0.01),
)


def _load(name, monkeypatch, *overrides):
    for variable in _PLACEHOLDERS:
        monkeypatch.setenv(variable, 'unused')
    crop = f'train_dataset_options.crop_size={_HEIGHT},{_WIDTH}'
    # Unchecked: the files' own resizing does not go with so small a crop.
    text = (_ROOT / f'model/configs/{name}.textproto').read_text()
    return config.loads(text, name, [crop, *overrides])


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


def test_a_training_step_equals_the_reference(restored):
    """Losses, the gradient of every variable, and that all moving statistics follow."""
    network, _ = restored
    golden = np.load(shared.golden('models') / 'mobilenet_v3_small_os32_train_step.npz')
    saved = [np.array(v) for v in network.weights]
    for layer in network._flatten_layers():
        if isinstance(layer, keras.layers.Dropout):
            layer.rate = 0
    with tf.GradientTape() as tape:
        heads = upsample(network(golden['images'].astype(np.float32), training=True), 129, 257)
        losses = total.loss(heads, _targets(golden), _LOSSES, datasets.SPECS['cityscapes_panoptic'].labels)
        losses = {name: tf.reduce_mean(value) for name, value in losses.items()}
    gradients = tape.gradient(losses['total'], [v.value for v in network.trainable_variables])
    still = [
        checkpoints.key(v)
        for v, before in zip(network.weights, saved, strict=True)
        if not v.trainable and np.array_equal(np.array(v), before)
    ]
    for variable, value in zip(network.weights, saved, strict=True):
        variable.assign(value)
    assert not still
    for name, value in losses.items():
        np.testing.assert_allclose(value, golden[f'loss_{name}'], rtol=1e-5)
    np.testing.assert_allclose(tf.linalg.global_norm(gradients), golden['grad_global_norm'], rtol=1e-2)
    norms = {
        checkpoints.key(v): tf.norm(g) for v, g in zip(network.trainable_variables, gradients, strict=True)
    }
    names = [str(name).removesuffix('/.ATTRIBUTES/VARIABLE_VALUE') for name in golden['trainable_names']]
    assert set(names) == set(norms)
    # Smaller gradients are the noise of rounding.
    floor = 1e-4 * golden['trainable_grad_norm'].max()
    for name, norm in zip(names, golden['trainable_grad_norm'], strict=True):
        np.testing.assert_allclose(norms[name], norm, rtol=2e-2, atol=floor, err_msg=name)


def _targets(golden):
    weight = {name: golden[name].astype(np.float32) for name in golden.files if name.endswith('_weight')}
    return tensors.Targets(
        golden['semantic_gt'].astype(np.int32),
        weight['semantic_loss_weight'],
        golden['instance_center_gt'],
        weight['center_loss_weight'],
        golden['instance_regression_gt'].astype(np.float32),
        weight['regression_loss_weight'],
    )


def test_without_an_instance_branch_there_is_no_instance(monkeypatch):
    off = 'model_options.panoptic_deeplab.instance.enable=false'
    heads = build.network(_load(_FAST[0], monkeypatch, off))(_image())
    assert heads.semantic_logits.shape == (1, 17, 33, 19)
    assert heads.center_heatmap is None
    assert heads.offset is None
