# SPDX-License-Identifier: Apache-2.0
"""Activations that the backward pass computes once more, instead of keeping them.

Within `scope`, `through(block, x)` keeps a block's input alone. Both passes are pure functions of that input
and of the variables' values at the step's begin, the states of random generators among them: the second pass
draws what the first one drew, and what it would do to moving statistics is dropped.

Source: Chen et al., Training Deep Nets with Sublinear Memory Cost (2016), section 3.
"""

import contextlib
import contextvars
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import keras
import tensorflow as tf

_values = contextvars.ContextVar[Mapping[int, tf.Tensor] | None]('values', default=None)


@contextlib.contextmanager
def scope(network: keras.Model, is_on: bool = True) -> Iterator[None]:
    """Has the blocks of a network, called within, computed once more in the backward pass if `is_on`.

    A block must not be called twice within one scope. To be entered in the gradient tape.
    """
    # Read here: within a layer of mixed precision Keras would round the values.
    with _within({id(v): tf.convert_to_tensor(v.value) for v in network.variables} if is_on else None):
        yield


def through(block: keras.layers.Layer, x: tf.Tensor) -> Any:
    """Returns block(x); in `scope`, that of training, kept as no more than `x`."""
    values = _values.get()
    if values is None:
        return block(x)
    weights, state = block.trainable_variables, block.non_trainable_variables
    before = [values[id(v)] for v in state]
    after: list[Sequence[tf.Tensor]] = []

    def compute(inputs: tf.Tensor, *held: tf.Tensor) -> Any:
        mapping = [*zip(weights, held, strict=True), *zip(state, before, strict=True)]
        # A block within a block is not computed a third time.
        with _within(None), keras.StatelessScope(mapping) as stateless:
            outputs = block(inputs, training=True)
        after.append([stateless.get_current_value(v) for v in state])
        return outputs

    outputs = tf.recompute_grad(compute)(x, *(values[id(v)] for v in weights))
    for variable, value in zip(state, after[0], strict=True):
        variable.assign(value)
    return outputs


@contextlib.contextmanager
def _within(values: Mapping[int, tf.Tensor] | None) -> Iterator[None]:
    token = _values.set(values)
    try:
        yield
    finally:
        _values.reset(token)
