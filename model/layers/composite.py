# SPDX-License-Identifier: Apache-2.0
"""A layer that is made of layers."""

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from panpipe.model.layers import recompute


class Composite(keras.layers.Layer):
    """A layer whose inner layers make their variables when they are first called.

    Left to itself, Keras traces `call` once more for each level of nesting to find out what is to be built.
    """

    def build(self, input_shape: Any) -> None:
        """Has no variables of its own."""


class Numbered(Composite):
    """Layers named 0, 1, … below one name, each of which is called by its index."""

    def __init__(self, layers: Sequence[keras.layers.Layer], *, name: str) -> None:
        super().__init__(name=name)
        self.layers = list(layers)

    def call(self, *inputs: tf.Tensor, index: int) -> Any:
        """Applies one layer."""
        return self.layers[index](*inputs)


class Nested(Composite):
    """One layer below one more name, of any number of inputs."""

    def __init__(self, layer: keras.layers.Layer, *, name: str) -> None:
        super().__init__(name=name)
        self.layer = layer

    def call(self, *inputs: tf.Tensor) -> Any:
        """Applies the layer."""
        return self.layer(*inputs)


class Stack(Composite):
    """Layers one after another, each of which may be computed again in the backward pass."""

    def __init__(self, layers: Sequence[keras.layers.Layer], *, name: str) -> None:
        super().__init__(name=name)
        self.layers = list(layers)

    def call(self, x: tf.Tensor) -> tf.Tensor:
        """Applies all layers in turn."""
        for layer in self.layers:
            x = recompute.through(layer, x)
        return x
