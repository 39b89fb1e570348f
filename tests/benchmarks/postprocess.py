# SPDX-License-Identifier: Apache-2.0
"""Times post-processing, from the heads at stride 4 or at full resolution to the ids of one Cityscapes frame.

python tests/benchmarks/postprocess.py [--threads 1,2] [--repeats 10] [--json FILE]

Each is timed with the compiled op and with its twin, and so are the stages of the twin. The yardstick copies
as many bytes as must at least be read and written. What a version needs of memory beyond its input is told.
"""

import functools

import merge as merge_benchmark
import numpy as np

import timing

HEIGHT, WIDTH, CLASSES = merge_benchmark.HEIGHT, merge_benchmark.WIDTH, 19


def heads(noise: float = 0.0):
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


def measure(repeats: int) -> timing.Times:
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
        works |= {
            f'stride 4, {version}': (functools.partial(fused, use_op=use_op), small),
            f'stride 4, noisy, {version}': (functools.partial(fused, use_op=use_op), noisy),
            f'full resolution, {version}': (functools.partial(whole, use_op=use_op), large),
        }
    works |= _stages(large) | {'stage: upsample': (lambda h: postprocess.upsample(h, HEIGHT, WIDTH), small)}
    traced = {
        name: functools.partial(tf.function(work), argument) for name, (work, argument) in works.items()
    }
    maps = 4 * 4 * HEIGHT * WIDTH
    for name, inputs in (('stride 4', small), ('full resolution', large)):
        traced[f'yardstick: {name}'] = _copying(maps + sum(4 * int(tf.size(head)) for head in inputs))
    times = timing.in_turn(traced, repeats)
    for name in list(works)[:6]:
        print(f'{name:<28}{timing.extra_memory(traced[name]):>10.0f} MB more, {maps / 1e6:.0f} of them maps')
    return times


def _stages(large):
    import tensorflow as tf

    from panpipe.model.postprocess import centers, grouping

    peaks = functools.partial(centers.peaks, threshold=0.1, nms_kernel=13)
    is_thing = tf.argmax(large.semantic_logits, -1) >= 11
    group = functools.partial(grouping.group, offset=large.offset, is_thing=is_thing, keep_k_centers=200)
    peak_map = peaks(large.center_heatmap[..., 0])
    return {
        'stage: argmax': (lambda logits: tf.argmax(logits, -1, output_type=tf.int32), large.semantic_logits),
        'stage: centers': (peaks, large.center_heatmap[..., 0]),
        'stage: grouping, op': (functools.partial(group, use_op=True), peak_map),
        'stage: grouping, twin': (functools.partial(group, use_op=False), peak_map),
    }


def _copying(num_bytes: int):
    """Reads and writes that many bytes in all."""
    source = np.ones(num_bytes // 2, np.uint8)
    return functools.partial(np.copyto, np.zeros_like(source), source)


if __name__ == '__main__':
    timing.main('Times post-processing and its stages at 1025 x 2049.', measure)
