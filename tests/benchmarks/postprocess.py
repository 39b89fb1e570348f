# SPDX-License-Identifier: Apache-2.0
"""Times post-processing, from the heads at stride 4 or at full resolution to the ids of one Cityscapes frame.

python tests/benchmarks/postprocess.py [--threads 1,2] [--repeats 10] [--json FILE]

Each is timed with the compiled op and with its twin, and so are the stages of the twin.
"""

import functools
from collections.abc import Callable
from typing import Any

import merge as merge_benchmark
import numpy as np

import timing

HEIGHT, WIDTH, CLASSES = merge_benchmark.HEIGHT, merge_benchmark.WIDTH, 19


def heads(noise: float = 0.0) -> Any:
    """Makes heads at stride 4 that say what `merge.scene` draws, as smooth as a decoder's.

    `noise` is the deviation of what is added to each logit: with 3, a class leads on few cells.
    """
    from panpipe.model import tensors

    generator = np.random.default_rng(1)
    semantic, instance = (values[:, ::4, ::4] for values in merge_benchmark.scene(0.0))
    logits = 8 * _blur(np.eye(CLASSES)[semantic], 2)
    logits += 4 * _blur(generator.normal(0, 1, logits.shape), 6) + generator.normal(0, noise, logits.shape)
    heatmap = np.zeros((*semantic.shape, 1))
    offset = generator.normal(0, 1, (*semantic.shape, 2))
    position = np.stack(np.mgrid[: semantic.shape[1], : semantic.shape[2]], axis=-1)
    for k in range(1, merge_benchmark.INSTANCES + 1):
        mask = instance[0] == k
        if mask.any():
            center = position[mask].mean(axis=0).round()
            offset[0, mask] += center - position[mask]
            spot = (0.5 + k / 60) * np.exp(-((position - center) ** 2).sum(-1, keepdims=True) / 8)
            heatmap[0] = np.maximum(heatmap[0], spot)
    return tensors.Heads(*(np.float32(values) for values in (logits, heatmap, offset)))


def _blur(maps: np.ndarray, times: int) -> np.ndarray:
    for axis in times * (1, 2):
        maps = (np.roll(maps, 1, axis) + maps + np.roll(maps, -1, axis)) / 3
    return maps


def measure(repeats: int) -> dict[str, timing.Row]:
    import tensorflow as tf

    from panpipe.custom_ops import merge
    from panpipe.model import labels, postprocess, tensors

    spec = labels.LabelSpec(CLASSES, tuple(range(11, 19)), 1000, 255)
    small, noisy = (tensors.Heads(*map(tf.constant, heads(noise))) for noise in (0.0, 3.0))
    large = postprocess.upsample(small, HEIGHT, WIDTH)
    fused = functools.partial(
        merge.panoptic_from_heads, labels=spec, height=HEIGHT, width=WIDTH, stuff_area_limit=2048
    )
    whole = functools.partial(postprocess.panoptic, labels=spec, stuff_area_limit=2048)
    works = {}
    for version, use_op in (('op', True), ('twin', False)):
        for name, function, inputs in (
            ('stride 4', fused, small),
            ('stride 4, noisy', fused, noisy),
            ('full resolution', whole, large),
        ):
            works[f'{name}, {version}'] = _work(functools.partial(function, use_op=use_op), inputs)
    works |= _stages(large)
    works['stage: upsample'] = _work(lambda inputs: postprocess.upsample(inputs, HEIGHT, WIDTH), small)
    return timing.rows(works, repeats)


def _work(function: Callable[[Any], Any], inputs: Any) -> timing.Work:
    """Traces a function of tensors; it must read the tensors and write its results, once each."""
    import tensorflow as tf

    traced = tf.function(function)
    tensors = tf.nest.flatten([inputs, traced(inputs)])
    return timing.Work(
        functools.partial(traced, inputs), sum(int(tf.size(each)) * each.dtype.size for each in tensors)
    )


def _stages(large: Any) -> dict[str, timing.Work]:
    import tensorflow as tf

    from panpipe.model.postprocess import centers, grouping

    peaks = functools.partial(centers.peaks, threshold=0.1, nms_kernel=13)
    is_thing = tf.argmax(large.semantic_logits, -1) >= 11
    heatmap = large.center_heatmap[..., 0]
    inputs = peaks(heatmap), large.offset, is_thing

    def group(use_op: bool) -> Callable[[Any], Any]:
        return lambda maps: grouping.group(*maps, keep_k_centers=200, use_op=use_op)

    return {
        'stage: argmax': _work(
            lambda logits: tf.argmax(logits, -1, output_type=tf.int32), large.semantic_logits
        ),
        'stage: centers': _work(peaks, heatmap),
        'stage: grouping, op': _work(group(True), inputs),
        'stage: grouping, twin': _work(group(False), inputs),
    }


if __name__ == '__main__':
    timing.main('Times post-processing and its stages at 1025 x 2049.', measure)
