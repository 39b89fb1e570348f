# SPDX-License-Identifier: Apache-2.0
"""Weights averaged over training steps, which often score better than the last ones.

Sources: Polyak and Juditsky, Acceleration of Stochastic Approximation by Averaging (1992); Szegedy et al.,
Rethinking the Inception Architecture (CVPR 2016), section 8, for the exponential form.
"""

import contextlib
import os
from collections.abc import Iterator

import keras
import tensorflow as tf

from panpipe.model import checkpoints, errors

# Item of a run's checkpoints that holds the averages.
ITEM = 'average'
_SUFFIX = '.ATTRIBUTES/VARIABLE_VALUE'


class Averages:
    """Running averages of a network's trainable weights. Moving statistics are averages already."""

    def __init__(self, network: keras.Model, momentum: float) -> None:
        """Starts with the weights as they are; call it in the scope of the strategy.

        Args:
          network: its variables exist.
          momentum: share of the old average that a step keeps, once (1 + step) / (10 + step) is larger.
        """
        self._momentum = momentum
        self._weights = [v.value for v in network.trainable_variables]
        self._averages = {
            _name(v): tf.Variable(v.numpy(), trainable=False) for v in network.trainable_variables
        }

    def update(self, step: tf.Tensor) -> None:
        """Follows the weights after step number `step`; call it outside of replicas."""
        step = tf.cast(step, tf.float32)
        # The first weights are random: they must not linger in a short training.
        keep = tf.minimum(self._momentum, (1.0 + step) / (10.0 + step))
        for average, weight in zip(self._averages.values(), self._weights, strict=True):
            average.assign(average * keep + weight * (1.0 - keep))

    @property
    def variables(self) -> list[tf.Variable]:
        """The averages, in the order of the network's weights."""
        return list(self._averages.values())

    def checkpoint(self) -> tf.train.Checkpoint:
        """Returns the averages as an item of a run's checkpoint."""
        return tf.train.Checkpoint(**self._averages)

    @contextlib.contextmanager
    def applied(self) -> Iterator[None]:
        """Lends the averages to the network."""
        kept = [weight.numpy() for weight in self._weights]
        for average, weight in zip(self._averages.values(), self._weights, strict=True):
            weight.assign(average.numpy())
        try:
            yield
        finally:
            for weight, value in zip(self._weights, kept, strict=True):
                weight.assign(value)


def load(network: keras.Model, path: str | os.PathLike[str]) -> int:
    """Gives a network the averages of a checkpoint, for those weights that it averaged.

    Args:
      network: built, and restored from the same checkpoint.
      path: as for `checkpoints.restore`.

    Returns:
      The number of weights that were averaged: 0 where the training did not ask for it.
    """
    reader = tf.train.load_checkpoint(os.fspath(path))
    names = {v.path: f'{ITEM}/{_name(v)}/{_SUFFIX}' for v in network.trainable_variables}
    found = [v for v in network.trainable_variables if reader.has_tensor(names[v.path])]
    for variable in found:
        variable.assign(reader.get_tensor(names[variable.path]))
    return len(found)


def restore_whole(network: keras.Model, path: str | os.PathLike[str]) -> str:
    """Gives a network all of its weights for evaluation and export: the averages, where there are any.

    Args:
      network: built.
      path: as for `checkpoints.restore`. A folder is looked into once: a training may write there meanwhile.

    Returns:
      The prefix of the checkpoint.

    Raises:
      errors.InputError: as for `checkpoints.restore`, and where the checkpoint lacks a variable.
    """
    prefix = checkpoints.find(path)
    missing = checkpoints.restore(network, prefix).missing
    if missing:
        raise errors.InputError(
            f'{prefix} lacks {len(missing)} variables of this configuration, the first is {missing[0]}; '
            'is it the checkpoint of another --config, or of an encoder alone?'
        )
    load(network, prefix)
    return prefix


def _name(variable: keras.Variable) -> str:
    # A slash would be escaped in the checkpoint.
    return checkpoints.key(variable).replace('/', ':')
