# SPDX-License-Identifier: Apache-2.0
"""Learning-rate schedules and optimizers."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from panpipe.model import config, errors
from panpipe.model.training import adam

_POLICIES = ('poly', 'cosine')


@dataclasses.dataclass(frozen=True)
class Schedule(keras.optimizers.schedules.LearningRateSchedule):
    """Gives the learning rate of a step: poly or cosine decay, after an optional linear warm-up.

    The decay is a function of the step alone: it does not start anew after the warm-up, so the rate may jump
    down there, as in the published recipes.

    Attributes:
      policy: 'poly' or 'cosine'.
      base: the rate before any decay.
      decay_steps: the step at which the decay ends.
      power: exponent of the poly decay.
      end: rate that the poly decay ends at.
      warmup_steps: the rate rises from 0 to `base` over so many steps.
    """

    policy: str
    base: float
    decay_steps: int
    power: float = 0.9
    end: float = 0.0
    warmup_steps: int = 0

    def __call__(self, step: Any) -> tf.Tensor:
        """Returns the rate of `step` (0 is the first), a float32 scalar."""
        step = tf.cast(step, tf.float32)
        progress = tf.minimum(step, float(self.decay_steps)) / float(self.decay_steps)
        if self.policy == 'poly':
            rate = (self.base - self.end) * tf.pow(1.0 - progress, self.power) + self.end
        else:
            rate = self.base * 0.5 * (1.0 + tf.cos(tf.constant(3.141592653589793) * progress))
        if self.warmup_steps > 0:
            rate = tf.where(step < self.warmup_steps, self.base * step / float(self.warmup_steps), rate)
        return rate

    def get_config(self) -> dict[str, Any]:
        return dataclasses.asdict(self)


def schedule(options: config.SolverOptions, multiplier: float = 1.0) -> Schedule:
    """Makes the learning-rate schedule of `solver_options`, its base rate times `multiplier`."""
    if options.learning_policy not in _POLICIES:
        raise errors.InputError(
            f'learning_policy is {options.learning_policy!r}; it is one of {", ".join(_POLICIES)}'
        )
    return Schedule(
        policy=options.learning_policy,
        base=options.base_learning_rate * multiplier,
        decay_steps=options.training_number_of_steps,
        power=options.poly_learning_power,
        end=options.poly_end_learning_rate,
        warmup_steps=options.warmup_steps,
    )


@dataclasses.dataclass(frozen=True)
class Group:
    """Joins an optimizer to the variables that it moves; it is built on them."""

    optimizer: keras.optimizers.Optimizer
    variables: tuple[keras.Variable, ...]


def optimizers(options: config.SolverOptions, network: keras.Model) -> dict[str, Group]:
    """Makes 'optimizer' and, where the encoder has a rate of its own, 'backbone_optimizer'.

    Weight decay, where asked for, is decoupled from the gradient, and shrinks kernels only: no biases,
    normalisation, layer scales, relative positions or cluster centers.

    Raises:
      errors.InputError: no optimizer has that name.
    """
    multiplier = options.backbone_learning_rate_multiplier
    if multiplier is None:
        return {'optimizer': _group(options, 1.0, network.trainable_variables)}
    encoder = {id(v) for v in network.encoder.trainable_variables}
    inside = [v for v in network.trainable_variables if id(v) in encoder]
    outside = [v for v in network.trainable_variables if id(v) not in encoder]
    return {
        'optimizer': _group(options, 1.0, outside),
        'backbone_optimizer': _group(options, multiplier, inside),
    }


def _group(options: config.SolverOptions, multiplier: float, variables: Sequence[keras.Variable]) -> Group:
    if options.optimizer not in _OPTIMIZERS:
        raise errors.InputError(
            f'solver_options.optimizer is {options.optimizer!r}; it is one of {", ".join(_OPTIMIZERS)}'
        )
    made = _OPTIMIZERS[options.optimizer](options, schedule(options, multiplier))
    made.exclude_from_weight_decay(var_list=[v for v in variables if not v.path.endswith('kernel')])
    made.build(variables)
    return Group(made, tuple(variables))


def _adam(options: config.SolverOptions, rate: Schedule) -> keras.optimizers.Optimizer:
    return adam.FusedAdam(rate, weight_decay=options.weight_decay or None)


def _sgd(options: config.SolverOptions, rate: Schedule) -> keras.optimizers.Optimizer:
    return keras.optimizers.SGD(rate, momentum=0.9, weight_decay=options.weight_decay or None)


def _adamw(options: config.SolverOptions, rate: Schedule) -> keras.optimizers.Optimizer:
    return adam.FusedAdam(rate, weight_decay=options.adamw_weight_decay)


_OPTIMIZERS = {'adam': _adam, 'adamw': _adamw, 'sgd': _sgd}
