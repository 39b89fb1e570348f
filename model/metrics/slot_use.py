# SPDX-License-Identifier: Apache-2.0
"""What the slots of a mask transformer are used for: in how many images each of them holds which class."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Self

import numpy as np

from panpipe.model import labels as label_codec

FOLDER = 'slots'  # in that of a run
FILE = 'slots.json'


@dataclasses.dataclass(frozen=True, eq=False)
class SlotUse:
    """Counts images; the counts of two sets of images add up.

    Attributes:
      images: int64 [slots, classes], the images in which a slot holds pixels of a class.
      num_images: all of them.
    """

    images: np.ndarray
    num_images: int

    @classmethod
    def zero(cls, num_slots: int, num_classes: int) -> Self:
        """Counts no image."""
        return cls(np.zeros((num_slots, num_classes), np.int64), 0)

    @classmethod
    def of_image(
        cls,
        panoptic: np.ndarray,
        instance: np.ndarray,
        label: np.ndarray,
        number: np.ndarray,
        codec: label_codec.LabelSpec,
    ) -> Self:
        """Counts the slots that hold pixels of one image, void aside.

        Args:
          panoptic: int32 [height, width], ids of `codec`.
          instance: int32 [height, width], the number of the slot that holds a pixel.
          label: int32 [slots], the class that a slot prefers.
          number: int32 [slots], of each slot.
          codec: the classes and the panoptic codec.
        """
        is_segment = codec.decode(panoptic)[0] != codec.ignore_label
        holds = np.isin(number, np.unique(instance[is_segment]))
        images = cls.zero(len(number), codec.num_classes).images
        images[np.flatnonzero(holds), label[holds]] = 1
        return cls(images, 1)

    def __add__(self, other: 'SlotUse') -> 'SlotUse':
        return SlotUse(self.images + other.images, self.num_images + other.num_images)

    def figures(self, classes: Sequence[str]) -> tuple['SlotFigures', ...]:
        """Lists the slots that hold anything; `classes` names the columns of `images`."""
        return tuple(
            SlotFigures(slot, {name: int(count) for name, count in zip(classes, row, strict=True) if count})
            for slot, row in enumerate(self.images)
            if row.any()
        )


@dataclasses.dataclass(frozen=True)
class SlotFigures:
    """Holds in how many images a slot, by its index from 0, holds pixels of each class that it ever holds."""

    slot: int
    images: Mapping[str, int]


@dataclasses.dataclass(frozen=True)
class Shown:
    """Names a picture of an image's surest slots, beside the file that holds `SlotResult`."""

    image_id: str
    file: str


@dataclasses.dataclass(frozen=True)
class SlotResult:
    """Holds what an evaluation found out of the slots, as train writes it and report reads it.

    Attributes:
      dataset: name of the data set.
      step: of the training.
      num_images: how many images were evaluated.
      num_slots: of the network.
      slots: those that hold a segment of any image.
      pictures: of single images.
    """

    dataset: str
    step: int
    num_images: int
    num_slots: int
    slots: tuple[SlotFigures, ...]
    pictures: tuple[Shown, ...]
