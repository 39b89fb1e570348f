# SPDX-License-Identifier: Apache-2.0
"""Weights that follow from the names of variables, so that two implementations can be compared."""

import math
import re
import zlib

import keras
import numpy as np

from panpipe.model import checkpoints

_SILENT = re.compile('encoder/_stage.*/(_conv2_bn|_conv3_bn)/')
_SMALL = re.compile('_switch|global_context')


def value(name, shape):
    """Draws the weight of checkpoint name `name`."""
    leaf = name.rsplit('/', 1)[-1]
    u = np.random.RandomState(zlib.crc32(name.encode())).uniform(-1, 1, size=shape)
    small = 0.1 if _SMALL.search(name) else 1.0
    if leaf == 'kernel':
        return (small * u * math.sqrt(6 / np.prod(shape[:3]))).astype(np.float32)
    rules = {
        'depthwise_kernel': lambda: u * math.sqrt(6 / (shape[0] * shape[1])),
        'bias': lambda: small * 0.05 * u,
        'gamma': lambda: (0.2 if _SILENT.match(name) else 1.0) * (1 + 0.1 * u),
        'beta': lambda: 0.1 * u,
        'moving_mean': lambda: 0.1 * u,
        'moving_variance': lambda: 1 + 0.2 * u,
    }
    return rules[leaf]().astype(np.float32)


def fill(network: keras.Model):
    """Gives every variable of a network its drawn weight, and returns their number."""
    for variable in network.weights:
        variable.assign(value(checkpoints.key(variable), tuple(variable.shape)))
    return len(network.weights)
