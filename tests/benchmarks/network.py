# SPDX-License-Identifier: Apache-2.0
"""Times networks at 513 x 1025: from an image to the heads at stride 4, and a training step on one image.

python tests/benchmarks/network.py [--threads 1,2] [--repeats 10] [--json FILE]

The rates, with two floating-point operations a multiply-add, stand beside the rate at which the machine
multiplies large matrices. A training step is three times the operations of its forward pass, about.
"""

import functools
from typing import Any

import configurations
import operations
import trainers

import timing

NETWORKS = {
    'MobileNetV3-Small': 'cityscapes/panoptic_deeplab/mobilenet_v3_small_os32',
    'ResNet-50': 'cityscapes/panoptic_deeplab/resnet50_os32_merge_with_pure_tf_func',
}
VARIANTS = {
    '': {'is_compiled_for_cpu': True},
    " with TensorFlow's gradients": {},
    ' recomputing': {'is_compiled_for_cpu': True, 'recomputes': True},
}
SIZE = 513, 1025
_MATRIX = 2048


def measure(repeats: int) -> dict[str, timing.Row | list[float]]:
    import tensorflow as tf

    matrix = tf.random.normal((_MATRIX, _MATRIX))
    works = {'multiply matrices': functools.partial(tf.matmul, matrix, matrix)}
    flops = {'multiply matrices': 2 * _MATRIX**3}
    for name, path in NETWORKS.items():
        experiment = configurations.load(path)
        forward, count = _forward(experiment)
        works[f'forward, {name}'], flops[f'forward, {name}'] = forward, count
        for variant, options in VARIANTS.items():
            works[f'training step{variant}, {name}'] = _step(experiment, **options)
    times = timing.in_turn(works, max(3, repeats // 6))  # each takes seconds
    rows = {
        name: timing.Row(times=times[name], extra=timing.extra_memory(work)) for name, work in works.items()
    }
    rates = {
        f'{name} [GFLOP/s]': [count / 1e6 / each for each in times[name]] for name, count in flops.items()
    }
    return {**rows, **rates}


def _forward(experiment: Any) -> tuple[Any, int]:
    """Returns the forward pass as evaluation runs it, and its floating-point operations."""
    import tensorflow as tf

    from panpipe.model import build

    network = build.network(experiment)
    image = tf.random.uniform((1, *SIZE, 3), maxval=255.0)
    traced = tf.function(lambda images: network(images, training=False)).get_concrete_function(image)
    return functools.partial(traced, image), 2 * operations.multiply_adds(traced.graph)


def _step(experiment: Any, **options: bool) -> Any:
    """Returns a whole training step: losses, gradients, optimizer. The options are those of a trainer."""
    import tensorflow as tf

    from panpipe.model import build, tensors

    network = build.network(experiment)
    trained = trainers.trainer(experiment, network, **options)
    image = tf.random.uniform((1, *SIZE, 3), maxval=255.0)
    maps = [tf.ones((1, *SIZE)) for _ in range(4)]
    targets = tensors.Targets(
        tf.zeros((1, *SIZE), tf.int32), maps[0], maps[1], maps[2], tf.ones((1, *SIZE, 2)), maps[3]
    )
    return functools.partial(trained.step, image, targets)


if __name__ == '__main__':
    timing.main('Times networks at 513 x 1025, forward and a training step.', measure)
