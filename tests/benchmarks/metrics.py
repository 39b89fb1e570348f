# SPDX-License-Identifier: Apache-2.0
"""Times the metrics' update: counting one Cityscapes frame into panoptic quality, IoU and average precision.

python tests/benchmarks/metrics.py [--threads 1] [--repeats 30] [--json FILE]
"""

import functools

import merge
import numpy as np

import timing

SHIFT = 3
_IMAGES = 20


def maps(speckle: float) -> tuple[np.ndarray, np.ndarray]:
    """Draws panoptic ids of a frame, int32 [height, width], and a prediction that is a little off."""
    truth = _panoptic(0.0)
    return truth, np.roll(_panoptic(speckle), SHIFT, axis=(0, 1))


def _panoptic(speckle: float) -> np.ndarray:
    semantic, instance = (values[0] for values in merge.scene(speckle))
    return semantic * 1000 + np.where(semantic >= 11, instance, 0)


def measure(repeats: int) -> dict[str, timing.Row]:
    from panpipe.model import datasets
    from panpipe.model.metrics import average_precision, quality

    labels = datasets.find('cityscapes_panoptic').labels
    works = {}
    for name, speckle in (('clean', 0.0), ('2% noise', 0.02)):
        panoptic = maps(speckle)
        classes = [labels.decode(each)[0] for each in panoptic]
        for metric, accumulator, pair in (
            ('panoptic quality', quality.PanopticQuality, panoptic),
            ('IoU', quality.ConfusionMatrix, classes),
        ):
            run = functools.partial(accumulator.from_maps, *pair, labels)
            works[f'{metric}, {name}'] = timing.Work(run, sum(each.nbytes for each in pair))
        scores = {
            int(i): 0.5 for i in np.unique(panoptic[1]) if i // labels.label_divisor in labels.thing_ids
        }
        gather = functools.partial(average_precision.AveragePrecision.from_maps, *panoptic, scores, labels)
        several = average_precision.AveragePrecision(_IMAGES * gather().images)
        moved = sum(each.nbytes for each in panoptic)
        works[f'average precision, {name}'] = timing.Work(gather, moved)
        works[f'average precision, {name}: result of {_IMAGES}'] = timing.Work(several.result, 0)
    return timing.rows(works, repeats)


if __name__ == '__main__':
    timing.main('Times the update of the metrics at 1025 x 2049.', measure)
