# SPDX-License-Identifier: Apache-2.0
"""Times post-processing and its stages, from the heads at stride 4 to panoptic ids of one Cityscapes frame.

python tests/benchmarks/postprocess.py [--threads 1,2] [--repeats 10] [--json FILE]
"""

import functools

import merge as merge_benchmark
import numpy as np
import timing

HEIGHT, WIDTH, CLASSES = merge_benchmark.HEIGHT, merge_benchmark.WIDTH, 19


def heads():
    """Makes heads at stride 4 that say what `merge.scene` draws, with the noise of a trained network."""
    from panpipe.model import tensors

    generator = np.random.default_rng(1)
    semantic, instance = (values[:, ::4, ::4] for values in merge_benchmark.scene(0.0))
    logits = 3 * np.eye(CLASSES)[semantic] + generator.normal(0, 1, (*semantic.shape, CLASSES))
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


def measure(repeats: int) -> timing.Times:
    import tensorflow as tf

    from panpipe.custom_ops import merge
    from panpipe.model import labels, postprocess, tensors
    from panpipe.model.postprocess import centers, grouping

    spec = labels.LabelSpec(CLASSES, tuple(range(11, 19)), 1000, 255)
    small = tensors.Heads(*map(tf.constant, heads()))
    large = postprocess.upsample(small, HEIGHT, WIDTH)
    is_thing = tf.argmax(large.semantic_logits, -1) >= 11
    peaks = functools.partial(centers.peaks, threshold=0.1, nms_kernel=13)
    peak_map = peaks(large.center_heatmap[..., 0])
    whole = functools.partial(
        merge.panoptic_from_heads, labels=spec, height=HEIGHT, width=WIDTH, stuff_area_limit=2048
    )
    works = {
        'from heads, with op': (functools.partial(whole, use_op=True), small),
        'from heads, without op': (functools.partial(whole, use_op=False), small),
        'stage: upsample': (lambda heads: postprocess.upsample(heads, HEIGHT, WIDTH), small),
        'stage: argmax': (lambda logits: tf.argmax(logits, -1, output_type=tf.int32), large.semantic_logits),
        'stage: centers': (peaks, large.center_heatmap[..., 0]),
        'stage: grouping': (
            lambda peak_map: grouping.group(peak_map, large.offset, is_thing, keep_k_centers=200),
            peak_map,
        ),
    }
    traced = {
        name: functools.partial(tf.function(work), argument) for name, (work, argument) in works.items()
    }
    return timing.in_turn(traced, repeats)


if __name__ == '__main__':
    timing.main('Times post-processing and its stages at 1025 x 2049.', measure)
