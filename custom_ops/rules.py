# SPDX-License-Identifier: Apache-2.0
"""What the ops have to know beside the maps: how centers are chosen, and how maps are merged."""

import dataclasses

import tensorflow as tf

INT32_MAX = 2**31 - 1


class RuleError(tf.errors.InvalidArgumentError, ValueError):
    """Refuses an argument of the ops, before or while a graph is built.

    It is a `ValueError`, as for every misuse, and an `InvalidArgumentError`, as the op itself raises: a
    caller catches either, whatever runs below.
    """

    def __init__(self, node_def: object, op: object, message: str) -> None:
        super().__init__(node_def, op, message)


def refuse(message: str) -> RuleError:
    """Makes the error that says `message`."""
    return RuleError(None, None, message)


@dataclasses.dataclass(frozen=True)
class CenterRules:
    """Holds the numbers of the search for centers; `model.postprocess.centers` says what they mean.

    Raises:
      RuleError: nms_kernel is out of range.
    """

    center_threshold: float
    nms_kernel: int
    keep_k_centers: int

    def __post_init__(self) -> None:
        if not 1 <= self.nms_kernel <= INT32_MAX:
            raise refuse(f'nms_kernel is {self.nms_kernel}; it must be 1 .. {INT32_MAX}')


@dataclasses.dataclass(frozen=True)
class Rules:
    """Holds the numbers of a merge.

    >>> Rules(thing_ids=(13, 11), label_divisor=1000, stuff_area_limit=0, void_label=255).thing_ids
    (11, 13)

    Attributes:
      thing_ids: semantic labels whose pixels are grouped by instance; kept ascending, each once.
      label_divisor: a panoptic id is `label * label_divisor + k`, k from 0 to label_divisor - 1.
      stuff_area_limit: a stuff class with this many pixels or fewer becomes void; 0 keeps every one.
      void_label: label of pixels that belong to no segment.

    Raises:
      RuleError: a number is out of range.
    """

    thing_ids: tuple[int, ...]
    label_divisor: int
    stuff_area_limit: int
    void_label: int

    def __post_init__(self) -> None:
        object.__setattr__(self, 'thing_ids', tuple(sorted({int(i) for i in self.thing_ids})))
        if not 1 <= self.label_divisor <= INT32_MAX:
            raise refuse(f'label_divisor is {self.label_divisor}; it must be 1 .. {INT32_MAX}')
        if not 0 <= self.stuff_area_limit <= INT32_MAX:
            raise refuse(f'stuff_area_limit is {self.stuff_area_limit}; it must be 0 .. {INT32_MAX}')
        largest = self.largest_label
        for name, label in (('void_label', self.void_label), *(('a thing id', i) for i in self.thing_ids)):
            if not 0 <= label <= largest:
                raise refuse(f'{name} is {label}; labels are 0 .. {largest} = 2^31 // label_divisor - 1')

    @property
    def largest_label(self) -> int:
        """Largest label all of whose panoptic ids fit into int32."""
        return (INT32_MAX + 1) // self.label_divisor - 1


@dataclasses.dataclass(frozen=True)
class MaskRules:
    """Holds the numbers by which the masks of slots become a prediction.

    Attributes:
      is_maskwise: whether slots paste their masks one after the other; else each pixel goes to its likeliest
        slot.
      pixel_threshold: a pixel is of a slot if its probability exceeds this.
      overlap_threshold: a mask is pasted if more than this share of it is free.
      thing_area_limit: pixels that a thing must have, or it is void.
      stuff_area_limit: pixels that all slots of a stuff class must have together.
      label_divisor: a panoptic id is `label * label_divisor + number`, without the number for stuff.
      void_label: label of pixels that belong to no segment.

    Raises:
      RuleError: a number is out of range.
    """

    is_maskwise: bool
    pixel_threshold: float
    overlap_threshold: float
    thing_area_limit: int
    stuff_area_limit: int
    label_divisor: int
    void_label: int

    def __post_init__(self) -> None:
        for name in ('pixel_threshold', 'overlap_threshold'):
            if not 0 <= getattr(self, name) <= 1:
                raise refuse(f'{name} is {getattr(self, name)}; it must be 0 .. 1')

    @property
    def void(self) -> int:
        """Panoptic id of void."""
        return self.void_label * self.label_divisor
