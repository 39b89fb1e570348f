# SPDX-License-Identifier: Apache-2.0
"""One training: network, optimizer, step counter, and the step that changes them."""

import dataclasses
import itertools
from collections.abc import Callable, Mapping, Sequence

import keras
import tensorflow as tf

from panpipe.model import checkpoints, solver, tensors
from panpipe.model.postprocess import upsample

Losses = dict[str, tf.Tensor]
LossFunction = Callable[[tensors.Heads, tensors.Targets], Losses]


@dataclasses.dataclass
class Trainer:
    """Trains a network on batches, on every replica of a strategy.

    Attributes:
      network: images → heads at the decoder's stride.
      optimizers: one or two, each with the variables that it moves, by the name of its checkpoint item.
      loss: (heads at full resolution, targets) → losses [batch] by name, among them 'total'.
      strategy: where replicas run.
      clip_norm: gradients are scaled down to this global norm once all replicas are added up; 0 for never.
      global_step: steps done, int64.
    """

    network: keras.Model
    optimizers: Mapping[str, solver.Group]
    loss: LossFunction
    strategy: tf.distribute.Strategy
    clip_norm: float
    global_step: tf.Variable

    def __post_init__(self) -> None:
        self._traced = tf.function(self._step)

    def step(self, images: tf.Tensor, targets: tensors.Targets) -> Losses:
        """Takes one step on a global batch and returns its mean losses, float32 scalars by name.

        Args:
          images: float32 [batch, height, width, 3], 0 .. 255, or one such tensor a replica.
          targets: those of the images.
        """
        return self._traced(images, targets)

    def checkpoint(self) -> tf.train.Checkpoint:
        """Returns all that a resumed training needs, the network under DeepLab2's names."""
        # A network's variables hold more than its weights: the states of its random generators (dropout).
        weights = {id(v) for v in self.network.weights}
        random = [v for v in self.network.variables if id(v) not in weights]
        return tf.train.Checkpoint(
            **checkpoints.tree(self.network),
            **{name: _numbered(group.optimizer.variables) for name, group in self.optimizers.items()},
            random=_numbered(random),
            global_step=self.global_step,
        )

    def _step(self, images: tf.Tensor, targets: tensors.Targets) -> Losses:
        losses = self.strategy.run(self._replica_step, args=(images, targets))
        self.global_step.assign_add(1)
        return {
            name: self.strategy.reduce(tf.distribute.ReduceOp.SUM, value, axis=None)
            for name, value in losses.items()
        }

    def _replica_step(self, images: tf.Tensor, targets: tensors.Targets) -> Losses:
        replicas = self.strategy.num_replicas_in_sync
        with tf.GradientTape() as tape:
            heads = upsample(self.network(images, training=True), images.shape[1], images.shape[2])
            losses = {
                name: tf.reduce_mean(value) / replicas for name, value in self.loss(heads, targets).items()
            }
        groups = self.optimizers.values()
        weights = [v.value for group in groups for v in group.variables]
        gradients = iter(self._clip(tape.gradient(losses['total'], weights)))
        for group in groups:
            group.optimizer.apply(list(itertools.islice(gradients, len(group.variables))), group.variables)
        return losses

    def _clip(self, gradients: list[tf.Tensor]) -> list[tf.Tensor]:
        """Clips what the optimizer will add up over the replicas to `clip_norm`."""
        if not self.clip_norm:
            return gradients
        context = tf.distribute.get_replica_context()
        total = context.all_reduce(tf.distribute.ReduceOp.SUM, gradients)
        norm = tf.linalg.global_norm(total)
        scale = self.clip_norm / tf.maximum(norm, self.clip_norm)
        return [gradient * scale for gradient in gradients]


def _numbered(variables: Sequence[keras.Variable]) -> tf.train.Checkpoint:
    return tf.train.Checkpoint(**{f'{index:04d}': v.value for index, v in enumerate(variables)})
