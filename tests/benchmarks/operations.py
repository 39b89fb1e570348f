# SPDX-License-Identifier: Apache-2.0
"""Counts what a traced function computes and what its backward pass must keep, from its operations."""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping

import tensorflow as tf

_CALLS = ('PartitionedCall', 'StatefulPartitionedCall')
# Their outputs share the memory of their first input.
_ALIASES = ('Identity', 'Reshape', 'Squeeze', 'ExpandDims', 'StopGradient', 'PreventGradient')
# What they return is there with or without a backward pass.
_STORED = ('ReadVariableOp', 'Const')
# An output of batch normalization for the kernel's own notes, empty on a CPU, whose shape is not told.
_RESERVE = 5


def multiply_adds(graph: tf.Graph) -> int:
    """Adds up the multiplications of all convolutions and matrix products, each with its addition.

    Raises:
      ValueError: a shape is not known from the trace.
    """
    return sum(COUNTS[op.type](op) for op in operations(graph) if op.type in COUNTS)


def operations(graph: tf.Graph) -> Iterator[tf.Operation]:
    """Yields the operations of a graph and of the functions that it calls, once for each call."""
    for op in graph.get_operations():
        yield op
        if op.type in _CALLS:
            yield from operations(graph._get_function(op.get_attr('f').name).graph)


def kept_bytes(forward: Iterable[tf.Operation], backward: Iterable[tf.Operation]) -> int:
    """Adds up the tensors of a forward pass that the backward pass reads, each once.

    Variables and constants are not counted: they are there with or without a backward pass.
    """
    places = set(forward)
    read = {_source(tensor).ref() for op in backward for tensor in op.inputs if tensor.op in places}
    tensors = [reference.deref() for reference in read]
    return sum(_bytes(tensor) for tensor in tensors if tensor.op.type not in _STORED)


def _source(tensor: tf.Tensor) -> tf.Tensor:
    """Returns the tensor whose memory this one has."""
    while tensor.op.type in _ALIASES:
        tensor = tensor.op.inputs[0]
    return tensor.op.inputs[tensor.value_index] if tensor.op.type == 'IdentityN' else tensor


def _bytes(tensor: tf.Tensor) -> int:
    is_reserve = tensor.op.type == 'FusedBatchNormV3' and tensor.value_index == _RESERVE
    if is_reserve or tensor.dtype in (tf.resource, tf.variant, tf.string):
        return 0
    return _elements(tensor) * tensor.dtype.size


def _elements(tensor: tf.Tensor) -> int:
    if not tensor.shape.is_fully_defined():
        raise ValueError(f'{tensor.op.type} {tensor.name} has the shape {tensor.shape}; trace a fixed size')
    return math.prod(tensor.shape.as_list())


def _convolution(op: tf.Operation) -> int:
    _elements(op.inputs[1])
    height, width, depth, _ = op.inputs[1].shape
    return _elements(op.outputs[0]) * height * width * depth


def _depthwise(op: tf.Operation) -> int:
    height, width, *_ = op.inputs[1].shape
    return _elements(op.outputs[0]) * height * width


def _product(op: tf.Operation, transposed: str) -> int:
    shared = op.inputs[0].shape[-2 if op.get_attr(transposed) else -1]
    return _elements(op.outputs[0]) * shared


def _einsum(op: tf.Operation) -> int:
    sides = op.get_attr('equation').decode().split('->')[0].split(',')
    if len(sides) < 2:
        return 0
    sizes = {
        label: size
        for side, tensor in zip(sides, op.inputs, strict=True)
        for label, size in zip(side, tensor.shape.as_list(), strict=True)
    }
    return math.prod(sizes.values())


COUNTS: Mapping[str, Callable[[tf.Operation], int]] = {
    'Conv2D': _convolution,
    'DepthwiseConv2dNative': _depthwise,
    'MatMul': lambda op: _product(op, 'transpose_a'),
    'BatchMatMulV2': lambda op: _product(op, 'adj_x'),
    'Einsum': _einsum,
}
