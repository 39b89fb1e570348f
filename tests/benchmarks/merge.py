# SPDX-License-Identifier: Apache-2.0
"""Times the compiled merge against its pure-TensorFlow twin, on one Cityscapes frame.

python tests/benchmarks/merge.py [--threads 1,2] [--repeats 30] [--json FILE]
"""

import functools
import sys

import numpy as np

import timing

HEIGHT, WIDTH, INSTANCES = 1025, 2049, 28


def scene(speckle: float) -> tuple[np.ndarray, np.ndarray]:
    """Draws int32 [1, height, width] labels and instances: discs of things, and a share of noise."""
    generator = np.random.default_rng(0)
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    semantic = np.where(y < 300, 10, np.where(x > y + 400, 2, 0)).astype(np.int32)
    instance = np.zeros_like(semantic)
    for k in range(INSTANCES):
        cy, cx = generator.integers(200, 900), generator.integers(50, 2000)
        disc = (y - cy) ** 2 + (x - cx) ** 2 < generator.integers(15, 90) ** 2
        semantic[disc] = 11 + k % 8
        instance[disc] = k + 1
    noise = generator.random(semantic.shape) < speckle
    semantic[noise] = generator.integers(0, 19, noise.sum())
    return semantic[None], instance[None]


def measure(repeats: int) -> dict[str, timing.Row]:
    import tensorflow as tf

    from panpipe.custom_ops import merge

    if not merge.op_available():
        sys.exit('the compiled op is missing: python -m panpipe.custom_ops.build')
    rules = {
        'thing_ids': tuple(range(11, 19)),
        'label_divisor': 1000,
        'stuff_area_limit': 2048,
        'void_label': 255,
    }
    works = {}
    for name, speckle in (('clean', 0.0), ('2% noise', 0.02)):
        maps = [tf.constant(values) for values in scene(speckle)]
        for version, use_op in (('op', True), ('twin', False)):
            called = functools.partial(merge.merge, use_op=use_op, **rules)
            for way, function in (('', tf.function(called)), (' eager,', called)):
                run = functools.partial(function, *maps)
                works[f'merge, {name},{way} {version}'] = timing.Work(run, 3 * 4 * HEIGHT * WIDTH)
    return timing.rows(works, repeats)


if __name__ == '__main__':
    timing.main('Times the compiled merge against its pure-TensorFlow twin at 1025 x 2049.', measure)
