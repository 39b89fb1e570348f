# SPDX-License-Identifier: Apache-2.0
"""Training on two replicas equals training on one with the same global batch.

TensorFlow cannot undo the split of a CPU into two devices, so all of it happens in a process of its own: this
file, run as a program.
"""

import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

import experiments
import small
import small_masks
from panpipe.model.layers import normalization
from panpipe.model.training import interruption, loop, run_folder, strategies

STEPS = 5
FIELDS = (
    # Plain steps along the gradient: the change of a weight tells its gradient.
    'trainer_options.solver_options.optimizer=sgd',
    'trainer_options.solver_options.base_learning_rate=0.00005',
    'trainer_options.solver_options.warmup_steps=0',
)


def _run(name, folder):
    environment = {**os.environ, 'PYTHONPATH': str(pathlib.Path(experiments.__file__).parent)}
    command = [sys.executable, __file__, name, str(folder)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return {replicas: dict(np.load(folder / f'{replicas}.npz')) for replicas in (1, 2)}


@pytest.fixture(scope='module')
def found(tmp_path_factory):
    """What a training of the toy experiment measured, by number of replicas and name."""
    folder = tmp_path_factory.mktemp('replicas')
    experiments.write_records(folder)
    return _run('toy', folder)


@pytest.mark.slow
def test_parts_clipping_and_averages_are_the_same(tmp_path):
    """On a small network: losses, weights, averages, and the moving statistics of replicas on their own."""
    one, two = _run('small', tmp_path).values()
    for name in ('losses', 'weights', 'averages'):
        np.testing.assert_allclose(two[name], one[name], rtol=1e-5, atol=1e-6, err_msg=name)
    # A gradient that is rounding noise moves its weight by up to the learning rate, 0.01.
    assert np.quantile(abs(two['adam'] - one['adam']), 0.99) < 1e-5
    for found in (one, two):
        np.testing.assert_allclose(found['recomputed'], found['weights'], rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(found['recomputed_statistics'], found['statistics'], rtol=1e-5)
    # Replica r saw 3 r + (0, 1, 0, 1): means 0.5 and 3.5, variances 1/3 by the unbiased estimate.
    np.testing.assert_allclose(two['alone'], (0.1 * 2.0, 0.9 + 0.1 / 3), rtol=1e-5)


@pytest.mark.slow
def test_masks_are_matched_and_sampled_alike(tmp_path):
    """What the losses of a mask transformer draw follows from the image, whichever replica has it."""
    one, two = _run('masks', tmp_path).values()
    for name in ('losses', 'weights'):
        np.testing.assert_allclose(two[name], one[name], rtol=1e-4, atol=1e-5, err_msg=name)


@pytest.mark.slow
def test_first_step_is_the_same(found):
    one, two = found[1], found[2]
    np.testing.assert_allclose(two['losses'][0], one['losses'][0], rtol=1e-5)
    names = [name for name in one if name.startswith('change/')]
    moved = max(np.linalg.norm(one[name]) for name in names)
    for name in names:
        np.testing.assert_allclose(
            np.linalg.norm(two[name] - one[name]), 0, atol=2e-3 * np.linalg.norm(one[name]) + 1e-5 * moved
        )


@pytest.mark.slow
def test_first_steps_stay_close(found):
    means = [found[replicas]['losses'].mean(axis=0) for replicas in (1, 2)]
    np.testing.assert_allclose(means[1], means[0], rtol=0.01)


@pytest.mark.slow
def test_moving_statistics_are_those_of_the_global_batch(found):
    one, two = found[1], found[2]
    names = [name for name in one if name.endswith(('moving_mean', 'moving_variance'))]
    assert len(names) > 100
    for name in names:
        np.testing.assert_allclose(two[name], one[name], rtol=1e-3, atol=1e-5, err_msg=name)


@pytest.mark.slow
def test_a_checkpoint_of_two_replicas_serves_one(found):
    assert found[2]['restored']


def _strategies():
    tf.config.set_logical_device_configuration(
        tf.config.list_physical_devices('CPU')[0], [tf.config.LogicalDeviceConfiguration()] * 2
    )
    return tf.distribute.get_strategy(), tf.distribute.MirroredStrategy(['CPU:0', 'CPU:1'])


def _small(folder, strategy):
    options = {'num_parts': 2, 'momentum': 0.5, 'clip_norm': 5.0, 'strategy': strategy}
    trained, recomputing = small.make(**options), small.make(**options, recomputes=True)
    adaptive = small.make(optimizer='adam', strategy=strategy)
    losses = []
    for step in range(3):
        first, last = (_distributed(strategy, small.batch(seed=2 * step + part)) for part in range(2))
        shares = trained.accumulate(*first), trained.step(*last)
        losses.append([sum(float(share[name]) for share in shares) for name in shares[0]])
        recomputing.accumulate(*first)
        recomputing.step(*last)
        adaptive.step(*last)
    weights = _flat(trained)
    with trained.average.applied():
        averages = _flat(trained)
    return {
        'losses': losses,
        'weights': weights,
        'averages': averages,
        'adam': _flat(adaptive),
        'alone': _normalize_alone(strategy),
        'recomputed': _flat(recomputing),
        'statistics': _statistics(trained),
        'recomputed_statistics': _statistics(recomputing),
    }


def _masks(folder, strategy):
    trained = small_masks.make(num_parts=2, strategy=strategy)
    losses = []
    for step in range(3):
        first, last = (_distributed(strategy, small_masks.batch(seed=2 * step + part)) for part in range(2))
        shares = trained.accumulate(*first), trained.step(*last)
        losses.append([sum(float(share[name]) for share in shares) for name in shares[0]])
    return {'losses': losses, 'weights': _flat(trained)}


def _distributed(strategy, batch):
    samples = tf.data.Dataset.from_tensor_slices(batch).batch(len(batch[0]))
    return next(iter(strategy.experimental_distribute_dataset(samples)))


def _flat(trained):
    return np.concatenate([v.numpy().ravel() for v in trained.network.trainable_variables])


def _statistics(trained):
    return np.concatenate([v.numpy().ravel() for v in trained.network.non_trainable_weights])


def _normalize_alone(strategy):
    """Normalizes other pixels on each replica; returns the moving mean and variance after that."""
    with strategy.scope():
        layer = normalization.BatchNorm(momentum=0.9)()
        layer.build((None, 2, 2, 1))
    pixels = strategy.experimental_distribute_values_from_function(
        lambda context: tf.reshape([0.0, 1, 0, 1], (1, 2, 2, 1)) + 3.0 * context.replica_id_in_sync_group
    )
    tf.function(lambda: strategy.run(lambda x: layer(x, training=True), args=(pixels,)))()
    return [layer.moving_mean.numpy()[0], layer.moving_variance.numpy()[0]]


def _toy(folder, strategy):
    experiment = experiments.load(str(folder / '*.tfrecord'), STEPS, *FIELDS)
    directory = run_folder.RunDirectory(str(folder / str(strategy.num_replicas_in_sync)), 'run')
    run = loop.Training(experiment, directory, strategies.Place(strategy))
    for layer in run.network._flatten_layers():
        if layer.name.startswith('dropout'):
            layer.rate = 0.0
    before = {v.path: v.numpy() for v in run.network.weights}
    losses = [list(run._loop(1, lambda *_: None, interruption.Watch()).values())]
    after = {v.path: v.numpy() for v in run.network.weights}
    changes = {f'change/{v.path}': after[v.path] - before[v.path] for v in run.network.trainable_variables}
    losses += [list(run._loop(1, lambda *_: None, interruption.Watch()).values()) for _ in range(STEPS - 1)]
    run._manager.save(checkpoint_number=STEPS)
    resumed = loop.Training(experiment, directory)
    same = [
        np.array_equal(a.numpy(), b.numpy())
        for a, b in zip(run.network.weights, resumed.network.weights, strict=True)
    ]
    return {**after, **changes, 'losses': np.array(losses), 'restored': all(same) and resumed.step == STEPS}


if __name__ == '__main__':
    _measure, _folder = (
        {'small': _small, 'masks': _masks, 'toy': _toy}[sys.argv[1]],
        pathlib.Path(sys.argv[2]),
    )
    for _replicas, _strategy in enumerate(_strategies(), start=1):
        assert _strategy.num_replicas_in_sync == _replicas
        np.savez(_folder / f'{_replicas}.npz', **_measure(_folder, _strategy))
