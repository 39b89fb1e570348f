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
# Scales of normalization in mask transformers, the first that fits.
_MASK_SCALES = (
    (re.compile('/_conv3_bn/|_memory_conv3_bn/|_memory_ffn_conv2_bn/|_batch_norm_similarity/gamma$'), 0.2),
    (re.compile('_kmeans_memory_batch_norm_retrieved_value'), 0.1),
    (re.compile('pixel_space_mask_batch_norm'), 2.0),
)


def value(name, shape):
    """Draws the weight of checkpoint name `name`."""
    leaf = name.rsplit('/', 1)[-1]
    u = np.random.RandomState(zlib.crc32(name.encode())).uniform(-1, 1, size=shape)
    small = 0.1 if _SMALL.search(name) else 1.0
    if leaf in ('kernel', 'qkv_kernel'):
        return (small * u * math.sqrt(6 / np.prod(shape[:-1]))).astype(np.float32)
    rules = {
        'embeddings': lambda: u,
        'cluster_centers': lambda: 3 * u,
        'layer_scale': lambda: 0.2 * (1 + 0.1 * u),
        'depthwise_kernel': lambda: u * math.sqrt(6 / (shape[0] * shape[1])),
        'bias': lambda: small * 0.05 * u,
        'gamma': lambda: (0.2 if _SILENT.match(name) else 1.0) * (1 + 0.1 * u),
        'beta': lambda: 0.1 * u,
        'moving_mean': lambda: 0.1 * u,
        'moving_variance': lambda: 1 + 0.2 * u,
    }
    return rules[leaf]().astype(np.float32)


def mask_value(name, shape):
    """Draws the weight of checkpoint name `name` of a mask transformer."""
    if not name.endswith('/gamma'):
        return value(name, shape)
    u = np.random.RandomState(zlib.crc32(name.encode())).uniform(-1, 1, size=shape)
    scale = next((scale for pattern, scale in _MASK_SCALES if pattern.search(name)), 1.0)
    return (scale * (1 + 0.1 * u)).astype(np.float32)


def fill(network: keras.Model, draw=value):
    """Gives every variable of a network its drawn weight, and returns their number."""
    for variable in network.weights:
        variable.assign(draw(checkpoints.key(variable), tuple(variable.shape)))
    return len(network.weights)
