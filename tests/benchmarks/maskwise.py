# SPDX-License-Identifier: Apache-2.0
"""Times post-processing of mask transformers, from mask logits at stride 4 to the ids of a Cityscapes frame.

python tests/benchmarks/maskwise.py [--threads 1,2] [--repeats 5] [--json FILE]

The compiled op is held against its twin, which looks at bands of rows, and against what DeepLab2 does: all
masks at full resolution and their softmax, of which this counts no more than the first steps.
"""

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

import timing

HEIGHT, WIDTH, SLOTS, CLASSES = 1025, 2049, 128, 19


def heads(reach: float) -> Any:
    """Makes heads at stride 4 with discs as masks, whose logits fall to `reach` below the largest."""
    from panpipe.model import tensors

    generator = np.random.default_rng(1)
    y, x = np.mgrid[: (HEIGHT + 3) // 4, : (WIDTH + 3) // 4]
    logits = np.empty((1, *y.shape, SLOTS), np.float32)
    for slot in range(SLOTS):
        radius, top, left = (
            generator.uniform(0.3, 1),
            generator.uniform(0, len(y)),
            generator.uniform(0, y.shape[1]),
        )
        fall = np.hypot(y - top, x - left) / (20 * radius)
        logits[0, ..., slot] = 10 - np.minimum(3 * fall, reach + generator.normal(0, 1, y.shape))
    classes = generator.normal(0, 1, (1, SLOTS, CLASSES + 1)).astype(np.float32)
    classes[0, range(SLOTS), generator.integers(0, CLASSES + 1, SLOTS)] += 8
    return tensors.MaskHeads(logits, classes, None, None)


def measure(repeats: int) -> dict[str, timing.Row]:
    import tensorflow as tf

    from panpipe.model import labels, postprocess
    from panpipe.model.experiment import schema

    spec = labels.LabelSpec(CLASSES, tuple(range(11, 19)), 1000, 255)
    options = schema.EvaluatorOptions(
        thing_area_limit=256,
        stuff_area_limit=2048,
        maskwise_postprocessing=schema.MaskwisePostProcessingOptions(0.5, 0.3, 0.9, 1.0, 1.0),
    )
    sized = {'labels': spec, 'height': HEIGHT, 'width': WIDTH, 'options': options}
    works = {}
    for kind, reach in (('sure', 40.0), ('unsure', 8.0)):
        made = heads(reach)
        masks = [tf.constant(made.mask_logits), tf.constant(made.class_logits)]
        for name, function, use_op in (
            ('maskwise', postprocess.maskwise, True),
            ('pixelwise', postprocess.pixelwise, True),
            ('maskwise', postprocess.maskwise, False),
        ):
            called = functools.partial(function, use_op=use_op, **sized)
            works[f'{name}, {kind}, {"op" if use_op else "twin"}'] = _work(called, masks)
        works[f'softmax at full resolution, {kind}'] = _work(_softmax, masks)
    return timing.rows(works, repeats)


def _work(function: Callable[..., Any], masks: list[Any]) -> timing.Work:
    """Traces a function of `tensors.MaskHeads`; it must read the masks and write four maps."""
    import tensorflow as tf

    from panpipe.model import tensors

    traced = tf.function(lambda logits, classes: function(tensors.MaskHeads(logits, classes, None, None)))
    moved = 4 * (masks[0].shape.num_elements() + 4 * HEIGHT * WIDTH)
    return timing.Work(functools.partial(traced, *masks), moved)


def _softmax(mask_heads: Any) -> Any:
    import tensorflow as tf

    logits = mask_heads.mask_logits
    large = tf.raw_ops.ResizeBilinear(images=logits, size=(HEIGHT, WIDTH), align_corners=True)
    return tf.reduce_max(tf.nn.softmax(large), -1)


if __name__ == '__main__':
    timing.main('Times post-processing of mask transformers at 1025 x 2049.', measure)
