# SPDX-License-Identifier: Apache-2.0
"""Learning-rate schedules and optimizers."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from panpipe.model import config
from panpipe.model.experiment import names
from panpipe.model.training import adam


@dataclasses.dataclass(frozen=True)
class Schedule(keras.optimizers.schedules.LearningRateSchedule):
    """Gives the learning rate of a step: poly or cosine decay, after an optional linear warm-up.

    The decay is a function of the step alone: it does not start anew after the warm-up, so the rate may jump
    down there, as in the published recipes.

    Attributes:
      policy: one of `names.LEARNING_POLICIES`.
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
        rate = names.find('learning_policy', self.policy, names.LEARNING_POLICIES)(self, progress)
        if self.warmup_steps > 0:
            rate = tf.where(step < self.warmup_steps, self.base * step / float(self.warmup_steps), rate)
        return rate

    def get_config(self) -> dict[str, Any]:
        return dataclasses.asdict(self)


def poly_decay(schedule: Schedule, progress: tf.Tensor) -> tf.Tensor:
    """Lowers the rate to `schedule.end` by a power of what is left; `progress` is in [0, 1]."""
    return (schedule.base - schedule.end) * tf.pow(1.0 - progress, schedule.power) + schedule.end


def cosine_decay(schedule: Schedule, progress: tf.Tensor) -> tf.Tensor:
    """Lowers the rate to 0 by half a cosine wave; `progress` is in [0, 1]."""
    return schedule.base * 0.5 * (1.0 + tf.cos(tf.constant(3.141592653589793) * progress))


def schedule(options: config.SolverOptions, multiplier: float = 1.0) -> Schedule:
    """Makes the learning-rate schedule of `solver_options`, its base rate times `multiplier`."""
    names.find('learning_policy', options.learning_policy, names.LEARNING_POLICIES)
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
    make = names.find('solver_options.optimizer', options.optimizer, names.OPTIMIZERS)
    made = make(options, schedule(options, multiplier))
    made.exclude_from_weight_decay(var_list=[v for v in variables if not v.path.endswith('kernel')])
    made.build(variables)
    return Group(made, tuple(variables))


def adam_optimizer(options: config.SolverOptions, rate: Schedule) -> keras.optimizers.Optimizer:
    """Makes Adam (Kingma and Ba, ICLR 2015)."""
    return adam.FusedAdam(rate, weight_decay=options.weight_decay or None)


def sgd_optimizer(options: config.SolverOptions, rate: Schedule) -> keras.optimizers.Optimizer:
    """Makes stochastic gradient descent with momentum 0.9."""
    return keras.optimizers.SGD(rate, momentum=0.9, weight_decay=options.weight_decay or None)


def adamw_optimizer(options: config.SolverOptions, rate: Schedule) -> keras.optimizers.Optimizer:
    """Makes Adam with decoupled weight decay (Loshchilov and Hutter, ICLR 2019)."""
    return adam.FusedAdam(rate, weight_decay=options.adamw_weight_decay)
