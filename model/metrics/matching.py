# SPDX-License-Identifier: Apache-2.0
"""Which segments of a prediction match which of the ground truth, as panoptic quality has it.

Source: Kirillov et al., Panoptic Segmentation (CVPR 2019), section 4.1.
"""

from typing import NamedTuple, Self

import numpy as np

from panpipe.model import labels as label_codec
from panpipe.model.metrics import overlaps


class Matching(NamedTuple):
    """Holds what is known of the pairs of segments of two maps.

    Attributes:
      truth_class, predicted_class: integer [truths] and [predictions].
      is_void: bool [truths], of no class.
      is_crowd: bool [truths], a group of things, which is neither matched nor missed.
      is_segment: bool [predictions], of a class.
      iou: float64 [truths, predictions], outside void.
      is_match: bool [truths, predictions]: of one class, with an IoU above one half; at most one in each row
        and column.
    """

    truth_class: np.ndarray
    predicted_class: np.ndarray
    is_void: np.ndarray
    is_crowd: np.ndarray
    is_segment: np.ndarray
    iou: np.ndarray
    is_match: np.ndarray

    @classmethod
    def of(
        cls,
        truth_ids: np.ndarray,
        predicted_ids: np.ndarray,
        joint: np.ndarray,
        labels: label_codec.LabelSpec,
        limit: np.ndarray | float = 1.0,
    ) -> Self:
        """Matches the segments of one image.

        Args:
          truth_ids: integer [truths], distinct panoptic ids.
          predicted_ids: integer [predictions], likewise.
          joint: int64 [truths, predictions], pixels that they share.
          labels: what the ids mean.
          limit: [truths, predictions], what the IoU of a pair is at most.

        Raises:
          ValueError: an id is neither of a class nor void.
        """
        truth_class, truth_instance = labels.decode(truth_ids)
        predicted_class = labels.decode(predicted_ids)[0]
        for classes in (truth_class, predicted_class):
            _check_classes(classes, labels)
        is_void = truth_class == labels.ignore_label
        is_crowd = labels.thing_table()[truth_class] & (truth_instance == 0) & ~is_void
        is_segment = predicted_class != labels.ignore_label
        in_void = joint[is_void].sum(0)
        iou = np.minimum(overlaps.ratio_of_union(joint, joint.sum(1), joint.sum(0) - in_void), limit)
        is_pair = (truth_class[:, None] == predicted_class) & is_segment & ~(is_void | is_crowd)[:, None]
        return cls(truth_class, predicted_class, is_void, is_crowd, is_segment, iou, is_pair & (iou > 0.5))


def _check_classes(classes: np.ndarray, labels: label_codec.LabelSpec) -> None:
    """Raises a ValueError if a class is neither of the data set nor void."""
    wrong = classes[(classes < 0) | ((classes >= labels.num_classes) & (classes != labels.ignore_label))]
    if wrong.size:
        raise ValueError(
            f'class {wrong[0]} is not one of 0 .. {labels.num_classes - 1}, nor void ({labels.ignore_label})'
        )
