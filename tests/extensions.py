# SPDX-License-Identifier: Apache-2.0
"""Made-up parts, as somebody would add them by the recipes of docs/architecture.md."""

import keras
import tensorflow as tf

from panpipe.model.backbones import endpoints
from panpipe.model.jobs import command_line


def huber(prediction, target):
    """A loss of pixels: quadratic near 0, linear beyond 1."""
    error = tf.abs(target - prediction)
    return tf.reduce_mean(tf.where(error < 1, error**2 / 2, error - 0.5), axis=-1)


def constant_decay(schedule, progress):
    """A learning policy that never lowers the rate."""
    return schedule.base + 0.0 * progress


def lion(options, rate):
    """An optimizer."""
    return keras.optimizers.Lion(rate)


def plain_conv(filters, kernel_size, norm, **kwargs):
    """A kind of convolution: the standard one under another name."""
    from panpipe.model.layers import convolution

    return convolution.standard(filters, kernel_size, norm, **kwargs)


class Pyramid(keras.layers.Layer):
    """A backbone: average pooling and one convolution for each endpoint."""

    def __init__(self):
        super().__init__(name='encoder')
        self.convolutions = [keras.layers.Conv2D(8, 3, padding='same', name=f'conv{i}') for i in range(5)]

    def call(self, images):
        features = []
        for level, convolution in enumerate(self.convolutions, 1):
            stride = 2**level
            small = images[:, ::stride, ::stride]
            features.append(tf.nn.relu(convolution(small)))
        return endpoints.Endpoints(*features)


def main(argv=None):
    """A job."""
    parser = command_line.parser('greet', 'Greets.', ('panpipe greet --name you',))
    parser.add_argument('--name', default='all')
    arguments = parser.parse_args(argv)
    return command_line.run('greet', lambda: print(f'hello {arguments.name}'))
