# SPDX-License-Identifier: Apache-2.0
"""Times training and prediction on the first GPU, or on the CPU where there is none.

python tests/benchmarks/accelerator.py [--only training] [--size 1025x2049] [--repeats 10] [--json FILE]

Each time is that of one call, from inputs on the device until the host has a number made of all results; the
first calls, which trace and choose algorithms, are left out. Networks have random weights. Post-processing
gets heads that say what a street scene says, because those of such networks find a center on every pixel.
"""

import argparse
import dataclasses
import functools
import json
import pathlib
import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any

import configurations
import maskwise
import numpy as np
import postprocess
import trainers

RESNET = 'cityscapes/panoptic_deeplab/resnet50_os32_merge_with_pure_tf_func'
KMAX = 'cityscapes/kmax_deeplab/kmax_meta_r50_os32'
NAMES = {RESNET: 'Panoptic-DeepLab, ResNet-50', KMAX: 'kMaX-DeepLab, ResNet-50'}
# Configuration, images a step and precision of each training.
TRAININGS = (
    (RESNET, 1, ''),
    (RESNET, 4, ''),
    (RESNET, 4, 'bfloat16'),
    (RESNET, 8, 'bfloat16'),
    (KMAX, 1, ''),
    (KMAX, 1, 'bfloat16'),
)
FORWARD = ((RESNET, 1, ''), (RESNET, 1, 'bfloat16'), (KMAX, 1, ''))
_WARM = 3
_STRIPE = 64  # pixels


@dataclasses.dataclass(frozen=True)
class Work:
    """Holds something to time: its name, how many images a call takes, and how to make the call."""

    name: str
    images: int
    make: Callable[[], Callable[[], object]]


def works(size: tuple[int, int]) -> dict[str, list[Work]]:
    """Lists what is timed, by the name of its group."""
    return {
        'forward': [_work('forward', _forward, *which, size) for which in FORWARD],
        'postprocess': list(_postprocessing()),
        'training': [_work('training step', _training, *which, size) for which in TRAININGS],
    }


def _work(
    what: str, make: Callable[..., Any], config: str, batch: int, precision: str, size: tuple[int, int]
) -> Work:
    name = f'{what}, {NAMES[config]}, batch of {batch}, {precision or "float32"}'
    return Work(name, batch, functools.partial(make, config, batch, precision, size))


def _network(config: str, precision: str) -> tuple[Any, Any]:
    import keras

    from panpipe.model import build

    experiment = configurations.load(config)
    keras.config.set_dtype_policy(f'mixed_{precision}' if precision else 'float32')
    return experiment, build.network(experiment)


def _forward(config: str, batch: int, precision: str, size: tuple[int, int]) -> Callable[[], object]:
    import tensorflow as tf

    _, network = _network(config, precision)
    images = tf.random.uniform((batch, *size, 3), maxval=255.0)
    return _summed(lambda: network(images, training=False))


def _training(config: str, batch: int, precision: str, size: tuple[int, int]) -> Callable[[], object]:
    import tensorflow as tf

    experiment, network = _network(config, precision)
    trainer = trainers.trainer(experiment, network)
    images = tf.random.uniform((batch, *size, 3), maxval=255.0)
    targets = _targets(batch, size, experiment)
    return lambda: float(trainer.step(images, targets)['total'])


def _targets(batch: int, size: tuple[int, int], experiment: Any) -> Any:
    """Makes targets of upright stripes, each of a class; those of thing classes are an instance each."""
    import tensorflow as tf

    from panpipe.model import datasets, tensors

    options = experiment.train_dataset_options
    spec = datasets.find(options.dataset).labels
    stripe = np.arange(size[1]) // _STRIPE
    classes = np.int32(stripe % spec.num_classes)
    maps = [tf.ones((batch, *size)) for _ in range(4)]
    semantic = tf.constant(np.broadcast_to(classes, (batch, *size)))
    if not experiment.model_options.has_masks:
        return tensors.Targets(semantic, *maps[:3], tf.ones((batch, *size, 2)), maps[3])
    things = [index for index in range(stripe[-1] + 1) if index % spec.num_classes in spec.thing_ids]
    rows = np.full(stripe[-1] + 1, -1, np.int32)
    rows[things] = range(len(things))
    thing_classes = np.full(options.max_thing_id, -1, np.int32)
    thing_classes[: len(things)] = [index % spec.num_classes for index in things]
    return tensors.MaskTargets(
        semantic,
        maps[0],
        tf.constant(np.broadcast_to(rows[stripe], (batch, *size))),
        tf.constant(np.tile(thing_classes, (batch, 1))),
        tf.zeros((batch, 2), tf.int32),
    )


def _postprocessing() -> Iterator[Work]:
    """Lists post-processing of one image of 1025 x 2049, from heads at stride 4 that lie on the device."""
    for use_op in (True, False):
        version = 'op' if use_op else 'TensorFlow'
        for name, make in (('centers', _from_heads), ('maskwise', _from_masks)):
            yield Work(f'post-processing, {name}, {version}', 1, functools.partial(make, use_op))


def _from_heads(use_op: bool) -> Callable[[], object]:
    import tensorflow as tf

    from panpipe.model import datasets, inference, tensors

    experiment = configurations.load(RESNET)
    heads = tensors.Heads(*map(tf.identity, postprocess.heads()))
    rules = dataclasses.replace(inference.postprocessing(experiment), use_op=use_op)
    spec = datasets.find('cityscapes_panoptic').labels
    return _summed(lambda: rules.predict(heads, spec, postprocess.HEIGHT, postprocess.WIDTH).panoptic)


def _from_masks(use_op: bool) -> Callable[[], object]:
    import tensorflow as tf

    from panpipe.model import datasets, inference

    experiment = configurations.load(KMAX)
    heads = tf.nest.map_structure(
        lambda each: None if each is None else tf.identity(each), maskwise.heads(40.0)
    )
    rules = dataclasses.replace(inference.postprocessing(experiment), use_op=use_op)
    spec = datasets.find('cityscapes_panoptic').labels
    return _summed(lambda: rules.predict(heads, spec, maskwise.HEIGHT, maskwise.WIDTH).prediction.panoptic)


def _summed(function: Callable[[], Any]) -> Callable[[], object]:
    """Traces a function; a call waits for all its results, and brings one number to the host."""
    import tensorflow as tf

    def numbers() -> Any:
        flat = [each for each in tf.nest.flatten(function()) if each is not None]
        return tf.add_n([tf.reduce_sum(tf.cast(each, tf.float32)) for each in flat])

    traced = tf.function(numbers, autograph=False)
    return lambda: float(traced())


def measure(work: Work, repeats: int) -> dict[str, float]:
    """Times a work: milliseconds a call, images a second, GB of the GPU at most (0 without one)."""
    import tensorflow as tf

    has_gpu = bool(tf.config.list_physical_devices('GPU'))
    begin = time.perf_counter()
    call = work.make()
    if has_gpu:
        tf.config.experimental.reset_memory_stats('GPU:0')
    for _ in range(_WARM):
        call()
    warm = time.perf_counter() - begin
    times = []
    for _ in range(repeats):
        begin = time.perf_counter()
        call()
        times.append(1000 * (time.perf_counter() - begin))
    median = statistics.median(times)
    peak = tf.config.experimental.get_memory_info('GPU:0')['peak'] / 1e9 if has_gpu else 0.0
    return {
        'ms': median,
        'least': min(times),
        'most': max(times),
        'images_per_second': 1000 * work.images / median,
        'peak_gb': peak,
        'seconds_before': warm,
    }


def main() -> None:
    parser = argparse.ArgumentParser(prog='accelerator', description=__doc__.splitlines()[0])
    parser.add_argument('--only', default='forward,postprocess,training', help='default %(default)s')
    parser.add_argument('--size', default='1025x2049', help='of the network, default %(default)s')
    parser.add_argument('--repeats', type=int, default=10, help='default %(default)s')
    parser.add_argument('--json', type=pathlib.Path, help='file for all figures')
    arguments = parser.parse_args()
    height, width = map(int, arguments.size.split('x'))
    groups = works((height, width))
    found = {}
    for group in arguments.only.split(','):
        for work in groups[group]:
            found[work.name] = _told(work, arguments.repeats)
            if arguments.json:
                arguments.json.write_text(json.dumps(found, indent=1))


def _told(work: Work, repeats: int) -> dict[str, float] | str:
    import gc

    import keras
    import tensorflow as tf

    keras.backend.clear_session()
    gc.collect()
    try:
        row = measure(work, repeats)
    except tf.errors.ResourceExhaustedError as error:
        print(f'{work.name}: out of memory', flush=True)
        return str(error)[:200]
    print(
        f'{work.name}: {row["ms"]:.2f} ms ({row["least"]:.2f} to {row["most"]:.2f}), '
        f'{row["images_per_second"]:.2f} images/s, {row["peak_gb"]:.1f} GB, '
        f'ready after {row["seconds_before"]:.0f} s',
        flush=True,
    )
    return row


if __name__ == '__main__':
    main()
