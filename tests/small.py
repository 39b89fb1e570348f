# SPDX-License-Identifier: Apache-2.0
"""A trainer of a network of two convolutions, which is traced in a second."""

import keras
import numpy as np
import tensorflow as tf

import experiments
from panpipe.model import architectures, config, tensors
from panpipe.model.layers import composite, convolution, normalization
from panpipe.model.training import averages, loop, solver, train_step

HEIGHT, WIDTH = 17, 33


class Small(architectures.Network):
    """All heads from one convolution, one normalization and one more convolution."""

    def __init__(self):
        super().__init__(name='small')
        norm = normalization.BatchNorm(is_synchronized=True)
        self.encoder = composite.Stack([convolution.standard(8, 3, norm, name='unit')], name='encoder')
        self.last = convolution.Convolution(22, use_bias=True, name='semantic_last_layer')

    def call(self, images, training=False, pool_scale=1.0):
        features = self.encoder(architectures.normalize(images)[:, ::4, ::4])
        return tensors.Heads(*tf.split(self.last(features), (19, 1, 2), axis=-1))


def make(
    num_parts=1,
    momentum=0.0,
    precision='',
    optimizer='sgd',
    clip_norm=0.0,
    strategy=None,
    recomputes=False,
    kind=Small,
):
    """Makes a trainer of a network of that kind, always from the same weights."""
    keras.utils.set_random_seed(0)
    options = config.SolverOptions(base_learning_rate=0.01, optimizer=optimizer)
    experiment = experiments.load('unused')
    strategy = strategy or tf.distribute.get_strategy()
    with strategy.scope(), loop._precision(precision):
        small = kind()
        small(tf.zeros((1, HEIGHT, WIDTH, 3)))
        return train_step.Trainer(
            small,
            solver.optimizers(options, small),
            loop.loss_function(experiment, experiment.train_dataset_options),
            strategy,
            clip_norm,
            tf.Variable(
                0, dtype=tf.int64, trainable=False, aggregation=tf.VariableAggregation.ONLY_FIRST_REPLICA
            ),
            num_parts,
            averages.Averages(small, momentum) if momentum else None,
            recomputes,
        )


def batch(size=2, seed=0):
    """Draws images and targets."""
    rng, shape = np.random.default_rng(seed), (size, HEIGHT, WIDTH)
    floats = [rng.uniform(0, 1, shape + more).astype(np.float32) for more in ((), (), (), (2,), ())]
    targets = tensors.Targets(tf.constant(rng.integers(0, 19, shape), tf.int32), *map(tf.constant, floats))
    return tf.constant(rng.uniform(0, 255, (*shape, 3)), tf.float32), targets
