# SPDX-License-Identifier: Apache-2.0
"""Training a mask transformer: one step of the reference's, parts of a batch, bfloat16, XLA."""

import dataclasses
import json
import pathlib

import keras
import numpy as np
import pytest
import tensorflow as tf

import shared
import small_masks
import weights
from panpipe.model import build, checkpoints, config, datasets, inference, tensors
from panpipe.model.losses import mask_transformer, matching, total
from panpipe.model.training import averages, solver

CONFIGS = pathlib.Path(__file__).parents[3] / 'model/configs'


def _values(trained):
    return [v.numpy() for v in trained.network.trainable_variables]


@pytest.mark.slow
def test_parts_of_a_batch_add_up():
    """Equal parts have equal batch statistics, so that nothing but the order of additions differs."""
    batch, whole, parted = small_masks.batch(), small_masks.make(), small_masks.make(num_parts=2)
    twice = tf.nest.map_structure(lambda x: tf.concat([x, x], 0), batch)
    expected = whole.step(*twice)
    shares = [parted.accumulate(*batch), parted.step(*batch)]
    for name, value in expected.items():
        np.testing.assert_allclose(sum(share[name] for share in shares), value, rtol=1e-5, err_msg=name)
    for mine, theirs in zip(_values(parted), _values(whole), strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-4, atol=1e-6)


def test_losses_fall_and_weights_are_averaged():
    batch, trained = small_masks.batch(), small_masks.make(optimizer='adamw', momentum=0.5)
    assert isinstance(trained.average, averages.Averages)
    losses = [float(trained.step(*batch)['total']) for _ in range(30)]
    assert losses[-1] < 0.8 * losses[0]
    before = _values(trained)
    with trained.average.applied():
        assert any((a != b).any() for a, b in zip(before, _values(trained), strict=True))


@pytest.mark.slow
def test_bfloat16_stays_close():
    batch = small_masks.batch()
    exact, mixed = small_masks.make(), small_masks.make(precision='bfloat16')
    expected = exact.step(*batch)
    for name, value in mixed.step(*batch).items():
        assert value.dtype == tf.float32
        np.testing.assert_allclose(value, expected[name], rtol=0.05, err_msg=name)


@pytest.mark.slow
def test_xla_compiles_losses_and_gradients():
    """As on a TPU, with the matching in TensorFlow; the assignment and so the losses are the same."""
    images, targets = small_masks.batch()
    trained, compiled = (
        small_masks.make(small_masks.first_pixels(match)) for match in (matching.exact, matching.static)
    )
    expected, gradients = tf.function(trained._gradients)(images, targets)
    found, theirs = tf.function(compiled._gradients, jit_compile=True)(images, targets)
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, rtol=1e-4, err_msg=name)
    for mine, other in zip(gradients, theirs, strict=True):
        np.testing.assert_allclose(mine, other, rtol=1e-3, atol=1e-5)


@pytest.fixture(scope='module', name='golden')
def _golden():
    with np.load(shared.golden('kmax') / 'train/00_ade20k_r50_step.npz') as file:
        return dict(file)


def _reference(z):
    """Makes the reference's network, images and targets, and the choices that it made in its step."""
    args = json.loads(str(z['args_json']))
    with pytest.MonkeyPatch.context() as patch:
        for variable in ('EXPERIMENT_NAME', 'INIT_CHECKPOINT', 'TRAIN_SET', 'VAL_SET'):
            patch.setenv(variable, '')
        text = (CONFIGS / f'{args["config"]}.textproto').read_text()
        experiment = config.loads(text, args['config'], ['train_dataset_options.crop_size=65,65'])
    network = build.network(experiment)
    weights.fill(network, weights.mask_value)
    for layer in network._flatten_layers():
        if isinstance(layer, keras.layers.Dropout):
            layer.rate = args['aspp_dropout']
    shape = (args['batch'], *args['crop_size'], 3)
    images = np.random.RandomState(args['image_seed']).randint(0, 256, shape).astype(np.float32)
    names = ('semantic_gt', 'semantic_loss_weight', 'thing_id_mask_gt', 'thing_id_class_gt')
    targets = tensors.MaskTargets(*(tf.constant(z[f'in_{name}']) for name in names))
    choices = mask_transformer.Choices(
        args['instance_discrimination_sample_k'],
        match=lambda *_: tf.constant(np.maximum(z['matched_slot'], -1)),
        draw=lambda logits, number, key: tf.tile(tf.range(number)[None], [args['batch'], 1]),
    )
    return experiment, network, tf.constant(images), targets, choices


@pytest.mark.slow
def test_first_step_equals_the_reference(golden):
    """Logits, 29 losses, norms of gradients and moving statistics, with the reference's matching."""
    experiment, network, images, targets, choices = _reference(golden)
    spec = datasets.find('ade20k_panoptic').labels
    before = {checkpoints.key(v): v.numpy() for v in network.non_trainable_weights}

    @tf.function
    def step():
        with tf.GradientTape() as tape:
            heads = inference.for_losses(network(images, training=True), images)
            losses = total.loss(heads, targets, experiment.trainer_options.loss_options, spec, choices)
            objective = tf.reduce_mean(losses['total'])
        return heads, losses, tape.gradient(objective, [v.value for v in network.trainable_variables])

    heads, losses, gradients = step()
    np.testing.assert_allclose(heads.main.mask_logits, golden['out_pixel_space_mask_logits'], atol=5e-4)
    np.testing.assert_allclose(heads.main.class_logits, golden['out_transformer_class_logits'], atol=5e-4)
    assert len(losses) == 30
    for name, value in losses.items():
        np.testing.assert_allclose(value, golden[f'loss_{total.tag(name)}'], rtol=1e-4, err_msg=name)
    norms = {
        checkpoints.key(v): float(tf.norm(tf.cast(g, tf.float64)))
        for v, g in zip(network.trainable_variables, gradients, strict=True)
    }
    expected = dict(zip(golden['gradient_names'].tolist(), golden['gradient_norms'].tolist(), strict=True))
    assert norms.keys() == expected.keys()
    large = [name for name, value in expected.items() if value > 1e-4 * max(expected.values())]
    np.testing.assert_allclose([norms[n] for n in large], [expected[n] for n in large], rtol=1e-3)
    for name, (change, norm) in zip(golden['moving_names'].tolist(), golden['moving'], strict=True):
        after = next(v.numpy() for v in network.non_trainable_weights if checkpoints.key(v) == name)
        np.testing.assert_allclose(np.abs(after - before[name]).sum(), change, rtol=1e-3, atol=1e-5)
        np.testing.assert_allclose(np.linalg.norm(after), norm, rtol=1e-4, atol=1e-6)


@pytest.mark.slow
def test_decay_shrinks_the_reference_s_variables(golden):
    """AdamW of DeepLab2 decays what its variables' names say; every encoder variable has its own rate."""
    experiment, network, *_ = _reference(golden)
    options = dataclasses.replace(experiment.trainer_options.solver_options, warmup_steps=0)
    groups = solver.optimizers(options, network)
    decayed = {
        checkpoints.key(v)
        for group in groups.values()
        for v in group.variables
        if group.optimizer._use_weight_decay(v)
    }
    path = shared.golden('kmax') / 'variables/coco_resnet50.keras_names.txt'
    names = dict(line.split('\t') for line in path.read_text().splitlines())
    expected = {key for key, name in names.items() if name.endswith(('kernel:0', 'weight:0'))}
    assert decayed == expected
    assert all(checkpoints.key(v).startswith('encoder/') for v in groups['backbone_optimizer'].variables)
    assert not any(checkpoints.key(v).startswith('encoder/') for v in groups['optimizer'].variables)
