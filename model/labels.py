# SPDX-License-Identifier: Apache-2.0
"""The label codec: one integer a pixel holds a class and an instance.

    panoptic = semantic * label_divisor + instance

Instance 0 of a thing class is a crowd; stuff has instance 0; void is `ignore_label * label_divisor`.
Source: Kirillov et al., Panoptic Segmentation (CVPR 2019), section 3.
"""

import dataclasses
from typing import Any

import numpy as np


@dataclasses.dataclass(frozen=True)
class LabelSpec:
    """States what the integers of a panoptic map mean.

    >>> labels = LabelSpec(num_classes=19, thing_ids=(11, 13), label_divisor=1000, ignore_label=255)
    >>> labels.encode(13, 7)
    13007
    >>> labels.decode(13007)
    (13, 7)
    >>> labels.void
    255000

    Attributes:
      num_classes: channels of the semantic head; class ids are 0 .. num_classes - 1.
      thing_ids: classes whose objects are instances.
      label_divisor: instances of a class are numbered 1 .. label_divisor - 1.
      ignore_label: semantic label of void pixels.

    Raises:
      ValueError: the numbers contradict each other.
    """

    num_classes: int
    thing_ids: tuple[int, ...]
    label_divisor: int
    ignore_label: int

    def __post_init__(self) -> None:
        if self.num_classes < 1:
            raise ValueError(f'num_classes is {self.num_classes}; it must be at least 1')
        if self.label_divisor < 1:
            raise ValueError(f'label_divisor is {self.label_divisor}; it must be at least 1')
        wrong = [i for i in self.thing_ids if not 0 <= i < self.num_classes]
        if wrong:
            raise ValueError(f'thing ids {wrong} are outside 0 .. num_classes - 1 = {self.num_classes - 1}')
        if len(set(self.thing_ids)) != len(self.thing_ids):
            raise ValueError(f'thing_ids {self.thing_ids} name a class twice')
        if self.ignore_label < 0:
            raise ValueError(f'ignore_label is {self.ignore_label}; it must not be negative')
        largest = (max(self.num_classes - 1, self.ignore_label) + 1) * self.label_divisor - 1
        if largest > np.iinfo(np.int32).max:
            raise ValueError(
                f'label_divisor {self.label_divisor} is too large: ids up to {largest} exceed int32'
            )

    def encode(self, semantic: Any, instance: Any) -> Any:
        """Joins class and instance: integers, numpy arrays or tensors of one shape, int32."""
        return semantic * self.label_divisor + instance

    def decode(self, panoptic: Any) -> tuple[Any, Any]:
        """Splits panoptic ids (integer, numpy array or tensor) into (semantic, instance)."""
        return panoptic // self.label_divisor, panoptic % self.label_divisor

    @property
    def void(self) -> int:
        """Panoptic id of pixels that belong to no segment."""
        return self.ignore_label * self.label_divisor

    @property
    def stuff_ids(self) -> tuple[int, ...]:
        """Classes that are neither things nor void, ascending."""
        return tuple(i for i in range(self.num_classes) if i not in self.thing_ids and i != self.ignore_label)

    def thing_table(self) -> np.ndarray:
        """Returns bool [max(num_classes, ignore_label + 1)]: is the class of that id a thing?"""
        table = np.zeros(max(self.num_classes, self.ignore_label + 1), bool)
        table[list(self.thing_ids)] = True
        return table


@dataclasses.dataclass(frozen=True)
class Segment:
    """Describes one segment of a panoptic annotation.

    Attributes:
      id: its colour in the panoptic PNG, R + 256 G + 65536 B.
      category_id: class as the data set's own files number it.
      area: pixels.
      is_crowd: a group of things that is one segment, without instances.
    """

    id: int
    category_id: int
    area: int
    is_crowd: bool = False
