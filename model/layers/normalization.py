# SPDX-License-Identifier: Apache-2.0
"""Batch normalization on TensorFlow's fused kernel."""

import dataclasses
import functools
from typing import Any, Self

import keras
import tensorflow as tf

_LAYER_NORM_EPSILON = 1e-6


class FusedBatchNormalization(keras.layers.BatchNormalization):
    """Normalizes channels of [batch, height, width, channels] float32 over all other axes.

    Keras 3 computes this from single operations, which makes a training step a third slower. That path is
    kept for statistics over several replicas, which the fused kernel cannot take.

    The moving variance follows the biased estimate of the variance where layers are synchronized, on one
    replica as on several, else the unbiased one: both as in DeepLab2.

    Source: Ioffe and Szegedy, Batch Normalization (ICML 2015), algorithms 1 and 2.
    """

    def add_weight(self, *args: Any, trainable: bool = True, **kwargs: Any) -> keras.Variable:
        """Adds a variable; of moving statistics that differ between replicas the mean is kept."""
        aggregation = 'none' if trainable else 'mean'
        return super().add_weight(*args, trainable=trainable, aggregation=aggregation, **kwargs)

    def call(
        self, inputs: tf.Tensor, training: bool | None = None, mask: tf.Tensor | None = None
    ) -> tf.Tensor:
        """Normalizes with the batch's statistics in training, else with the moving ones."""
        is_training = bool(training) and self.trainable
        if is_training and self.synchronized and tf.distribute.get_strategy().num_replicas_in_sync > 1:
            return super().call(inputs, training=training, mask=mask)
        outputs, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
            x=inputs,
            scale=self.gamma.value,
            offset=self.beta.value,
            mean=[] if is_training else self.moving_mean.value,
            variance=[] if is_training else self.moving_variance.value,
            epsilon=self.epsilon,
            is_training=is_training,
        )
        if is_training:
            if self.synchronized:
                count = tf.cast(tf.size(inputs) // inputs.shape[-1], tf.float32)
                variance *= (count - 1.0) / count  # the kernel's estimate is unbiased
            self._follow(self.moving_mean, mean)
            self._follow(self.moving_variance, variance)
        return outputs

    def affine(self) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns scale and shift [channels] that equal this layer outside training."""
        scale = self.gamma.value * tf.math.rsqrt(self.moving_variance.value + self.epsilon)
        return scale, self.beta.value - self.moving_mean.value * scale

    def _follow(self, moving: keras.Variable, batch: tf.Tensor) -> None:
        moving.assign(moving.value * self.momentum + batch * (1.0 - self.momentum))


class AxesBatchNormalization(keras.layers.Layer):
    """Normalizes a tensor of any rank, with statistics for each index of several axes together."""

    def __init__(self, axes: tuple[int, ...], recipe: 'BatchNorm', *, name: str) -> None:
        """Keeps `axes`, which are counted from the front, apart."""
        super().__init__(name=name)
        self._axes, self._recipe = axes, recipe

    def build(self, input_shape: Any) -> None:
        """Makes variables that broadcast: their other axes are of size 1."""
        shape = tuple(size if axis in self._axes else 1 for axis, size in enumerate(input_shape))
        make = functools.partial(self.add_weight, shape=shape)
        self.gamma = make(initializer=self._recipe.gamma, name='gamma')
        self.beta = make(initializer='zeros', name='beta')
        frozen = {'trainable': False, 'aggregation': 'mean'}
        self.moving_mean = make(initializer='zeros', name='moving_mean', **frozen)
        self.moving_variance = make(initializer='ones', name='moving_variance', **frozen)

    def call(self, x: tf.Tensor, training: bool | None = None) -> tf.Tensor:
        """Normalizes with the batch's statistics in training, else with the moving ones."""
        mean, variance = self.moving_mean.value, self.moving_variance.value
        if training and self.trainable:
            mean, variance = self._moments(x)
            for moving, batch in ((self.moving_mean, mean), (self.moving_variance, variance)):
                kept = self._recipe.momentum
                moving.assign(moving.value * kept + batch * (1.0 - kept))
        scale = self.gamma.value * tf.math.rsqrt(variance + self._recipe.epsilon)
        return x * scale + (self.beta.value - mean * scale)

    def _moments(self, x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        axes = [axis for axis in range(len(x.shape)) if axis not in self._axes]
        if not self._recipe.is_synchronized or tf.distribute.get_strategy().num_replicas_in_sync == 1:
            return tf.nn.moments(x, axes, keepdims=True)
        local = [tf.reduce_mean(value, axes, keepdims=True) for value in (x, x * x)]
        context = tf.distribute.get_replica_context()
        mean, square = context.all_reduce(tf.distribute.ReduceOp.MEAN, local)
        return mean, square - mean * mean


@dataclasses.dataclass(frozen=True)
class BatchNorm:
    """Makes batch normalization layers of one kind: each call returns a new one.

    Attributes:
      momentum: share of the old moving statistics that a training step keeps.
      epsilon: added to variances.
      is_synchronized: statistics are those of the batches of all replicas.
      gamma: initial scale, 'ones' or 'zeros', or what makes it.
    """

    momentum: float = 0.99
    epsilon: float = 1e-3
    is_synchronized: bool = False
    gamma: str | keras.Initializer = 'ones'

    def __call__(self, name: str = 'batch_norm') -> FusedBatchNormalization:
        """Makes a layer."""
        return FusedBatchNormalization(
            momentum=self.momentum,
            epsilon=self.epsilon,
            synchronized=self.is_synchronized,
            gamma_initializer=self.gamma,
            name=name,
        )

    def over(self, axes: tuple[int, ...], name: str) -> AxesBatchNormalization:
        """Makes a layer that keeps several axes apart, for tensors other than images."""
        return AxesBatchNormalization(axes, self, name=name)

    @property
    def silent(self) -> Self:
        """The same with an initial scale of 0, so that a residual block starts as the identity.

        Source: Goyal et al., Accurate, Large Minibatch SGD (2017), section 5.1.
        """
        return dataclasses.replace(self, gamma='zeros')


def layer_norm(name: str) -> keras.layers.LayerNormalization:
    """Makes a normalization of each pixel over channels. Source: Ba et al., Layer Normalization (2016)."""
    return keras.layers.LayerNormalization(epsilon=_LAYER_NORM_EPSILON, name=name)
