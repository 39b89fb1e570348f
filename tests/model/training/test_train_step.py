# SPDX-License-Identifier: Apache-2.0
"""The training step: parts of a batch, averaged weights, bfloat16, compilation; on a small network."""

import dataclasses
import functools
import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf

import experiments
import small
from panpipe.model import build, checkpoints, config, inference
from panpipe.model.layers import convolution
from panpipe.model.losses import total
from panpipe.model.training import averages, loop, solver


def _twice(batch):
    return tf.nest.map_structure(lambda x: tf.concat([x, x], 0), batch)


def _values(trained):
    return {v.path: v.numpy() for v in trained.network.trainable_variables}


def test_two_equal_parts_are_one_batch():
    """Equal parts have equal batch statistics, so that nothing but the order of additions differs."""
    batch, whole, parted = small.batch(), small.make(), small.make(num_parts=2)
    for _ in range(3):
        expected = whole.step(*_twice(batch))
        shares = [parted.accumulate(*batch), parted.step(*batch)]
        for name, value in expected.items():
            np.testing.assert_allclose(sum(share[name] for share in shares), value, rtol=1e-5)
    assert int(parted.global_step) == 3
    for name, value in _values(whole).items():
        np.testing.assert_allclose(_values(parted)[name], value, rtol=1e-4, atol=1e-6, err_msg=name)


def test_parts_of_a_batch_are_averaged():
    first, second, parted = small.batch(seed=1), small.batch(seed=2), small.make(num_parts=2)
    before = _values(parted)
    changes = []
    for batch in (first, second):
        alone = small.make()
        alone.step(*batch)
        changes.append({name: value - before[name] for name, value in _values(alone).items()})
    parted.accumulate(*first)
    for name, value in _values(parted).items():
        np.testing.assert_array_equal(value, before[name])
    parted.step(*second)
    for name, value in _values(parted).items():
        mean = (changes[0][name] + changes[1][name]) / 2
        np.testing.assert_allclose(value - before[name], mean, rtol=1e-3, atol=1e-6, err_msg=name)


class _OwnCenters(small.Small):
    """The center heat-map has a layer of its own."""

    def __init__(self):
        super().__init__()
        self.center = convolution.Convolution(1, use_bias=True, name='instance_center_head_last_layer')

    def call(self, images, training=False, pool_scale=1.0):
        heads = super().call(images, loop)
        return heads._replace(center_heatmap=self.center(heads.semantic_logits))


def _without_center_loss(**options):
    """Makes a trainer with decay of weights, whose head of centers has no loss."""
    trained = small.make(**options)
    decayed = config.SolverOptions(base_learning_rate=0.01, optimizer='adam', weight_decay=0.1)
    trained.optimizers = solver.optimizers(decayed, trained.network)
    losses = experiments.load('unused').trainer_options.loss_options
    trained.loss = functools.partial(
        total.loss,
        loss_options=dataclasses.replace(losses, center_loss=None),
        labels=experiments.SPEC.labels,
    )
    return trained


def _step(trained, batch):
    if trained.num_parts == 2:
        trained.accumulate(*batch)
    return trained.step(*batch)


@pytest.mark.parametrize(
    'options',
    [
        {},
        pytest.param({'clip_norm': 1e9}, marks=pytest.mark.slow),
        pytest.param({'num_parts': 2, 'clip_norm': 1e9}, marks=pytest.mark.slow),
    ],
)
def test_a_head_without_a_loss_stays_as_it_is(tmp_path, monkeypatch, options):
    monkeypatch.setattr(small, 'Small', _OwnCenters)
    plain, trained = _without_center_loss(), _without_center_loss(**options)
    before, batch = _values(trained), small.batch()
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        for _ in range(2):
            plain.step(*(_twice(batch) if trained.num_parts == 2 else batch))
            _step(trained, batch)
    path = trained.checkpoint().save(str(tmp_path / 'ckpt'))
    for name, value in _values(plain).items():
        assert np.array_equal(value, before[name]) == ('center_head' in name)
        np.testing.assert_allclose(_values(trained)[name], value, rtol=1e-3, atol=1e-5, err_msg=name)

    _step(trained, batch)
    resumed = _without_center_loss(**options)
    loop._resume(resumed.checkpoint(), path)
    _step(resumed, batch)
    for name, value in _values(trained).items():
        np.testing.assert_array_equal(_values(resumed)[name], value, err_msg=name)


def test_averages_follow_the_weights(tmp_path):
    trained = small.make(momentum=0.5)
    expected = _values(trained)
    for step in range(1, 5):
        trained.step(*small.batch(seed=step))
        keep = min(0.5, (1 + step) / (10 + step))
        expected = {
            name: keep * expected[name] + (1 - keep) * value for name, value in _values(trained).items()
        }
    last = _values(trained)
    with trained.average.applied():
        for name, value in _values(trained).items():
            np.testing.assert_allclose(value, expected[name], rtol=1e-5, atol=1e-6)
            assert not np.array_equal(value, last[name])
    for name, value in _values(trained).items():
        np.testing.assert_array_equal(value, last[name])

    path = trained.checkpoint().save(str(tmp_path / 'ckpt'))
    other = small.make().network
    checkpoints.restore(other, path)
    assert averages.load(other, tmp_path) == len(expected)
    for variable in other.trainable_variables:
        np.testing.assert_allclose(variable.numpy(), expected[variable.path], rtol=1e-5, atol=1e-6)


def test_a_checkpoint_without_averages_lends_none(tmp_path):
    trained = small.make()
    path = trained.checkpoint().save(str(tmp_path / 'ckpt'))
    before = _values(trained)
    assert averages.load(trained.network, path) == 0
    for name, value in _values(trained).items():
        np.testing.assert_array_equal(value, before[name])


def test_weights_and_averages_are_of_one_checkpoint(tmp_path, monkeypatch):
    """A training may save the next one while its folder is read."""
    trained = small.make(momentum=0.5)
    manager = tf.train.CheckpointManager(trained.checkpoint(), str(tmp_path), 2)
    prefixes = [manager.save()]
    with trained.average.applied():
        expected = _values(trained)
    trained.step(*small.batch())
    prefixes.append(manager.save())
    newest = iter(prefixes)
    monkeypatch.setattr(tf.train, 'latest_checkpoint', lambda folder: next(newest))
    other = small.make()
    assert averages.restore_whole(other.network, tmp_path) == prefixes[0]
    for name, value in _values(other).items():
        np.testing.assert_array_equal(value, expected[name], err_msg=name)


def test_a_checkpoint_of_other_options_is_refused(tmp_path):
    path = small.make().checkpoint().save(str(tmp_path / 'ckpt'))
    with pytest.raises(loop.errors.InputError, match='set another experiment_name'):
        loop._resume(small.make(momentum=0.9).checkpoint(), path)


def test_bfloat16_keeps_weights_and_losses_in_float32():
    exact, rounded = small.make(), small.make(precision='bfloat16')
    assert keras.config.dtype_policy().name == 'float32'
    assert rounded.network(small.batch()[0]).semantic_logits.dtype == tf.bfloat16
    for _ in range(3):
        expected, found = exact.step(*small.batch()), rounded.step(*small.batch())
        for name, value in expected.items():
            assert found[name].dtype == tf.float32
            np.testing.assert_allclose(found[name], value, rtol=0.03, err_msg=name)
    assert {v.dtype for v in rounded.network.weights} == {'float32'}


def test_bfloat16_goes_through_a_whole_network():
    """Heads stay within the rounding of bfloat16, 1 part in 256, grown over some sixty layers."""
    experiment, networks = experiments.load('unused'), []
    for precision in ('', 'bfloat16'):
        keras.utils.set_random_seed(0)
        with loop._precision(precision):
            networks.append(build.network(experiment))
    images = tf.random.stateless_uniform((1, 33, 65, 3), (0, 0), maxval=255.0)
    exact, rounded = (inference.full_resolution(each(images), images) for each in networks)
    for one, other in zip(exact, rounded, strict=True):
        assert other.dtype == tf.float32
        assert np.linalg.norm(other - one) < 0.1 * np.linalg.norm(one)


@pytest.mark.parametrize('optimizer', ['adam', pytest.param('sgd', marks=pytest.mark.slow)])
def test_the_step_can_be_compiled(optimizer):
    plain, compiled = (small.make(momentum=0.9, optimizer=optimizer) for _ in range(2))
    step = tf.function(compiled._step, jit_compile=True)
    for seed in range(3):
        expected, found = plain.step(*small.batch(seed=seed)), step(*small.batch(seed=seed))
        for name, value in expected.items():
            np.testing.assert_allclose(found[name], value, rtol=1e-4)
    assert int(compiled.global_step) == 3
