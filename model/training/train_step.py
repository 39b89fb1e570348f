# SPDX-License-Identifier: Apache-2.0
"""One training: network, optimizer, step counter, and the step that changes them."""

import dataclasses
import itertools
from collections.abc import Callable, Mapping, Sequence

import keras
import tensorflow as tf

from panpipe.model import checkpoints, inference, tensors
from panpipe.model.layers import depthwise, recompute
from panpipe.model.training import averages, solver

Losses = dict[str, tf.Tensor]
LossFunction = Callable[[tensors.AnyHeads, tensors.AnyTargets], Losses]


@dataclasses.dataclass
class Trainer:
    """Trains a network on batches, on every replica of a strategy.

    Attributes:
      network: images → heads at the decoder's stride.
      optimizers: one or two, each with the variables that it moves, by the name of its checkpoint item.
      loss: (heads as `inference.for_losses` makes them, targets) → losses [batch] by name and 'total'.
      strategy: where replicas run.
      clip_norm: gradients are scaled down to this global norm once all replicas are added up; 0 for never.
      global_step: steps done, int64.
      num_parts: parts of a global batch that go through the network one after another.
      average: follows the weights after each step, or None.
      recomputes: the backward pass computes activations again, instead of keeping them.
      is_compiled_for_cpu: compiled ops take part in the backward pass; all replicas are on CPUs.
    """

    network: keras.Model
    optimizers: Mapping[str, solver.Group]
    loss: LossFunction
    strategy: tf.distribute.Strategy
    clip_norm: float
    global_step: tf.Variable
    num_parts: int = 1
    average: averages.Averages | None = None
    recomputes: bool = False
    is_compiled_for_cpu: bool = False

    def __post_init__(self) -> None:
        self._traced = tf.function(self._step, autograph=False)
        self._traced_part = tf.function(self._part, autograph=False)
        with self.strategy.scope():
            self._sums = [_sum(v) for v in self._variables] if self.num_parts > 1 else []

    def step(self, images: tf.Tensor, targets: tensors.AnyTargets) -> Losses:
        """Takes one step on a global batch and returns its mean losses, float32 scalars by name.

        Args:
          images: float32 [batch, height, width, 3], 0 .. 255, or one such tensor a replica. They are the last
            part of the batch where `accumulate` has seen others; the losses are this part's share.
          targets: those of the images.
        """
        return self._traced(images, targets)

    def accumulate(self, images: tf.Tensor, targets: tensors.AnyTargets) -> Losses:
        """Adds up a part's gradients for the next `step`; returns its share of the global batch's losses."""
        return self._traced_part(images, targets)

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
            **({averages.ITEM: self.average.checkpoint()} if self.average else {}),
        )

    @property
    def state(self) -> list[tf.Variable]:
        """All variables of `checkpoint`, in the same order in every process."""
        groups = self.optimizers.values()
        kept = [*self.network.variables, *(v for group in groups for v in group.optimizer.variables)]
        averaged = self.average.variables if self.average else []
        return [*(variable.value for variable in kept), self.global_step, *averaged]

    @property
    def _variables(self) -> list[keras.Variable]:
        return [variable for group in self.optimizers.values() for variable in group.variables]

    def _step(self, images: tf.Tensor, targets: tensors.AnyTargets) -> Losses:
        losses = self._run(self._replica_step, images, targets)
        self.global_step.assign_add(1)
        if self.average:
            self.average.update(self.global_step)
        return losses

    def _part(self, images: tf.Tensor, targets: tensors.AnyTargets) -> Losses:
        return self._run(self._replica_part, images, targets)

    def _run(self, body: Callable[..., Losses], images: tf.Tensor, targets: tensors.AnyTargets) -> Losses:
        losses = self.strategy.run(body, args=(images, targets))
        return {
            name: self.strategy.reduce(tf.distribute.ReduceOp.SUM, value, axis=None)
            for name, value in losses.items()
        }

    def _replica_part(self, images: tf.Tensor, targets: tensors.AnyTargets) -> Losses:
        losses, gradients = self._gradients(images, targets)
        for total, gradient in zip(self._sums, gradients, strict=True):
            if gradient is not None:
                total.assign_add(gradient)
        return losses

    def _replica_step(self, images: tf.Tensor, targets: tensors.AnyTargets) -> Losses:
        losses, gradients = self._gradients(images, targets)
        if self._sums:
            pairs = zip(self._sums, gradients, strict=True)
            gradients = [None if last is None else total + last for total, last in pairs]
            for total in self._sums:
                total.assign(tf.zeros_like(total))
        clipped = iter(self._clip(gradients))
        for group in self.optimizers.values():
            own = zip(group.variables, itertools.islice(clipped, len(group.variables)), strict=True)
            # Without a gradient nothing moves a variable, nor does weight decay.
            moved = [(variable, gradient) for variable, gradient in own if gradient is not None]
            group.optimizer.apply([gradient for _, gradient in moved], [variable for variable, _ in moved])
        return losses

    def _gradients(
        self, images: tf.Tensor, targets: tensors.AnyTargets
    ) -> tuple[Losses, list[tf.Tensor | None]]:
        """Returns what these images of this replica add to the losses and gradients of the global batch.

        The gradient of a variable that no loss depends on, such as of a head without a loss, is None.
        """
        share = self.strategy.num_replicas_in_sync * self.num_parts
        with tf.GradientTape() as tape:
            with (
                recompute.scope(self.network, self.recomputes),
                depthwise.fast_gradients(self.is_compiled_for_cpu),
            ):
                heads = self.network(images, training=True)
            heads = inference.for_losses(heads, images)
            losses = {
                name: tf.reduce_mean(value) / share for name, value in self.loss(heads, targets).items()
            }
        return losses, tape.gradient(losses['total'], [v.value for v in self._variables])

    def _clip(self, gradients: list[tf.Tensor | None]) -> list[tf.Tensor | None]:
        """Clips what the optimizer will add up over the replicas to `clip_norm`."""
        if not self.clip_norm:
            return gradients
        context = tf.distribute.get_replica_context()
        found = [gradient for gradient in gradients if gradient is not None]
        total = context.all_reduce(tf.distribute.ReduceOp.SUM, found)
        norm = tf.linalg.global_norm(total)
        scale = self.clip_norm / tf.maximum(norm, self.clip_norm)
        return [None if gradient is None else gradient * scale for gradient in gradients]


def _numbered(variables: Sequence[keras.Variable]) -> tf.train.Checkpoint:
    return tf.train.Checkpoint(**{f'{index:04d}': v.value for index, v in enumerate(variables)})


def _sum(variable: keras.Variable) -> tf.Variable:
    """Makes a sum of gradients, which every replica keeps for itself."""
    return tf.Variable(
        tf.zeros(variable.shape),
        trainable=False,
        synchronization=tf.VariableSynchronization.ON_READ,
        aggregation=tf.VariableAggregation.SUM,
    )
