# SPDX-License-Identifier: Apache-2.0
"""Normalization over two replicas, in a process of its own: devices are split before TensorFlow starts."""

import subprocess
import sys

import pytest

_PROGRAM = """
import numpy as np
import tensorflow as tf

cpu = tf.config.list_physical_devices('CPU')[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)

from panpipe.model.layers import normalization

strategy = tf.distribute.MirroredStrategy(['CPU:0', 'CPU:1'])
x = np.random.default_rng(0).normal(2, 3, (4, 3, 3, 2)).astype(np.float32)
x[2:] += 5
batches = tf.data.Dataset.from_tensors(x)
for is_synchronized, parts in ((True, (x,)), (False, (x[:2], x[2:]))):
    with strategy.scope():
        norm = normalization.BatchNorm(momentum=0.5, is_synchronized=is_synchronized)
        layer, other = norm(), norm.over((3,), 'other')
        layer.build(x.shape)
        other.build(x.shape)
    data = iter(strategy.experimental_distribute_dataset(batches))
    both = lambda part: (layer(part, training=True), other(part, training=True))
    step = tf.function(lambda batch: strategy.run(both, args=(batch,)))
    y, z = (np.concatenate(strategy.experimental_local_results(value)) for value in step(next(data)))
    wanted = [(p - p.mean((0, 1, 2))) / np.sqrt(p.var((0, 1, 2)) + 1e-3) for p in parts]
    np.testing.assert_allclose(y, np.concatenate(wanted), atol=1e-4)
    np.testing.assert_allclose(z, y, atol=1e-4)
    np.testing.assert_allclose(layer.moving_mean.numpy(), 0.5 * x.mean((0, 1, 2)), atol=1e-4)
    np.testing.assert_allclose(np.ravel(other.moving_mean), layer.moving_mean.numpy(), atol=1e-5)
print('done')
"""


@pytest.mark.slow
def test_statistics_are_those_of_all_replicas():
    """Synchronised or not, moving means follow all images; each image is normalized by its own group's."""
    done = subprocess.run([sys.executable, '-c', _PROGRAM], capture_output=True, text=True, check=False)
    assert done.stdout.endswith('done\n'), done.stderr[-2000:]
