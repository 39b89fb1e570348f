# SPDX-License-Identifier: Apache-2.0
"""Average precision of instance masks, as a value that adds up: pycocotools judges what was gathered.

Source: Lin et al., Microsoft COCO (ECCV 2014), section 4.3; https://cocodataset.org/#detection-eval.
"""

import contextlib
import dataclasses
import io
import math
from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np
from pycocotools import coco, cocoeval
from pycocotools import mask as coco_mask

from panpipe.model import labels as label_codec
from panpipe.model.metrics import masks, overlaps

# DeepLab2's names of what COCOeval summarises, in its order.
NAMES = (
    'AP_Mask',
    'AP_Mask_@IoU=0.5',
    'AP_Mask_@IoU=0.75',
    'AP_Mask_small',
    'AP_Mask_medium',
    'AP_Mask_large',
    'AR_Mask_maxdets=1',
    'AR_Mask_maxdets=10',
    'AR_Mask_maxdets=100',
    'AR_Mask_small',
    'AR_Mask_medium',
    'AR_Mask_large',
)
_UNDEFINED = -1


@dataclasses.dataclass(frozen=True)
class Instance:
    """Holds a thing of the ground truth or of the prediction.

    Attributes:
      category: its class id.
      rle: its mask.
      is_crowd: a group of things, which may be found or not; of the ground truth only.
      score: how sure the model is of it; of the prediction only.
    """

    category: int
    rle: masks.Rle
    is_crowd: bool = False
    score: float = 0.0


@dataclasses.dataclass(frozen=True)
class AveragePrecision:
    """Gathers the things of images, run-length coded: (ground truth, prediction) by image.

    >>> labels = label_codec.LabelSpec(num_classes=2, thing_ids=(1,), label_divisor=10, ignore_label=9)
    >>> truth = np.array([[0, 0, 11, 11], [0, 0, 12, 90]])
    >>> found = AveragePrecision.from_maps(truth, truth, {11: 0.9, 12: 0.8}, labels).result()
    >>> found['AP_Mask'], found['AP_Mask_large']
    (1.0, nan)
    """

    images: tuple[tuple[tuple[Instance, ...], tuple[Instance, ...]], ...] = ()

    @classmethod
    def from_maps(
        cls,
        ground_truth: np.ndarray,
        prediction: np.ndarray,
        scores: Mapping[int, float],
        labels: label_codec.LabelSpec,
    ) -> Self:
        """Gathers one image.

        Args:
          ground_truth: integer [height, width], panoptic ids with crowd as instance 0 of a thing class.
          prediction: integer [height, width], panoptic ids.
          scores: 0 .. 1 of each thing of the prediction, by panoptic id; one without pixels is left out.
          labels: what the ids mean.

        Raises:
          ValueError: the maps differ in shape.
        """
        overlaps.check_shapes(ground_truth, prediction)
        divisor = labels.label_divisor
        true = {i for i in masks.present(ground_truth) if i // divisor in labels.thing_ids}
        truths = tuple(
            Instance(i // divisor, rle, is_crowd=i % divisor == 0)
            for i, rle in masks.encode(ground_truth, true).items()
        )
        found = tuple(
            Instance(i // divisor, rle, score=float(scores[i]))
            for i, rle in masks.encode(prediction, scores).items()
        )
        return cls(((truths, found),))

    def __add__(self, other: Self) -> Self:
        """Joins two sets of images."""
        return type(self)(self.images + other.images)

    def result(self) -> dict[str, float]:
        """Computes the figures by NAMES, as fractions: NaN where the ground truth has no such thing.

        At most 100 things of an image and class count, as on the COCO server. Of two with the same score, the
        one of the earlier image comes first.
        """
        truths, found = (
            [
                {'image_id': number, **_annotation(instance)}
                for number, image in enumerate(self.images, 1)
                for instance in image[side]
            ]
            for side in (0, 1)
        )
        if not (truths or found):
            return dict.fromkeys(NAMES, math.nan)
        for number, annotation in enumerate(truths, 1):
            annotation['id'] = number  # not 0, which COCOeval takes for no match
        content = {
            # The size would be needed for outlines only.
            'images': [{'id': i, 'height': 0, 'width': 0} for i in range(1, len(self.images) + 1)],
            'categories': [{'id': i} for i in sorted({one['category_id'] for one in truths + found})],
            'annotations': truths,
        }
        stats = zip(NAMES, judge(content, found).stats.tolist(), strict=True)
        return {name: math.nan if value == _UNDEFINED else value for name, value in stats}


def judge(ground_truth: Mapping[str, Any], detections: Sequence[Mapping[str, Any]]) -> cocoeval.COCOeval:
    """Runs COCOeval on masks, silently, to its end.

    Args:
      ground_truth: content of a COCO instance file.
      detections: COCO results.
    """
    with contextlib.redirect_stdout(io.StringIO()):
        data = _indexed(ground_truth)
        # An empty list is more than pycocotools can load.
        found = (
            data.loadRes(list(detections)) if detections else _indexed({**ground_truth, 'annotations': []})
        )
        evaluation = cocoeval.COCOeval(data, found, 'segm')
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return evaluation


def _indexed(content: Mapping[str, Any]) -> coco.COCO:
    data = coco.COCO()
    data.dataset = dict(content)
    data.createIndex()
    return data


def _annotation(instance: Instance) -> dict[str, Any]:
    return {
        'category_id': instance.category,
        'segmentation': instance.rle,
        'area': float(coco_mask.area(instance.rle)),
        'iscrowd': int(instance.is_crowd),
        'score': instance.score,
    }
