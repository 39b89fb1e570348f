# SPDX-License-Identifier: Apache-2.0
"""Turns other libraries' arrays into ours: axes, input normalization, epsilon of batch normalization."""

import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np

from panpipe.model import errors

Weights = dict[str, np.ndarray]

# A library may put the model's name before those of its layers, and ':0' behind.
_KERAS_PREFIX = re.compile(r'^convnext_[a-z]+_(?=stem|stage|downsampling)')


class Input(NamedTuple):
    """What a network subtracts from and divides an image of 0 .. 1 by, for red, green and blue."""

    mean: tuple[float, float, float]
    std: tuple[float, float, float]


IMAGENET = Input((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
OURS = Input((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))  # 0 .. 1 becomes -1 .. 1


def plain_keras(weights: Mapping[str, np.ndarray]) -> Weights:
    """Reduces Keras' names, of whatever version, to 'layer/weight'."""
    plain = {}
    for name, value in weights.items():
        *layer, leaf = name.removesuffix(':0').split('/')
        # ConvNeXt's layers have names that are whole; MobileNetV3's once had their blocks' before them.
        layer = layer[-1:] if layer[-1].startswith('convnext_') else layer
        joined = '_'.join(layer).lower().replace('batchnorm', 'bn')
        # Keras has no name for the one weight of this layer.
        leaf = 'gamma' if joined.endswith('layer_scale') else leaf.removeprefix('depthwise_')
        plain[f'{_KERAS_PREFIX.sub("", joined)}/{leaf}'] = value
    return plain


def renamed(weights: Mapping[str, np.ndarray], table: Iterable[tuple[str, str]], path: str) -> Weights:
    """Returns the weights of a table of (our name, theirs) under our names.

    Raises:
      errors.InputError: one is not there.
    """
    found = {}
    for ours, theirs in table:
        if theirs not in weights:
            raise errors.InputError(
                f'{path} has no weight {theirs!r}; say with --from which library it is of, and with --to '
                'which network'
            )
        found[ours] = np.asarray(weights[theirs], np.float32)
    return found


def fit(value: np.ndarray, shape: tuple[int, ...], is_torch: bool, name: str) -> np.ndarray:
    """Returns an array with the axes of ours: of PyTorch's kernels, outputs come first.

    Raises:
      errors.InputError: it is of another size.
    """
    if is_torch and value.ndim == 4:
        value = value.transpose(2, 3, 1, 0)
    elif is_torch and value.ndim == 2:
        value = value.T
    if [side for side in value.shape if side > 1] != [side for side in shape if side > 1]:
        raise errors.InputError(
            f'{name} is {list(value.shape)} in the file and {list(shape)} here; say with --to which network '
            'it is'
        )
    return np.ascontiguousarray(value).reshape(shape)


def fold_input(weights: Weights, kernel: str, shift: str, source: Input) -> None:
    """Changes the first convolution so that it takes images of -1 .. 1.

    Args:
      weights: changed in place.
      kernel: name of the first kernel, [height, width, 3, out].
      shift: name of what takes up the constant: the bias of that convolution, or the moving mean after it.
      source: what the weights were trained with.

    With y in -1 .. 1, (x - mean) / std is y / (2 std) + (1/2 - mean) / std.
    """
    mean, std = np.array(source.mean), np.array(source.std)
    constant = np.einsum('hwio,i->o', weights[kernel], (0.5 - mean) / std)
    sign = 1 if shift.endswith('bias') else -1
    weights[shift] = (weights[shift] + sign * constant).astype(np.float32)
    weights[kernel] = (weights[kernel] / (2 * std)[:, None]).astype(np.float32)


def fold_epsilon(weights: Weights, source: float, target: float) -> None:
    """Changes scales so that batch normalization with epsilon `target` does what it did with `source`."""
    for name in [name for name in weights if name.endswith('_batch_norm/gamma')]:
        variance = weights[name.removesuffix('gamma') + 'moving_variance'].astype(np.float64)
        factor = np.sqrt((variance + target) / (variance + source))
        weights[name] = (weights[name] * factor).astype(np.float32)
