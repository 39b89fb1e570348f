# SPDX-License-Identifier: Apache-2.0
"""What the images of a raw data set hold: counts that add up, and the faults that reading them meets."""

import collections
import dataclasses
from collections.abc import Mapping
from typing import Self

import numpy as np

from panpipe.model import datasets, errors
from panpipe.pipelines.sources import entries


@dataclasses.dataclass(frozen=True)
class Survey:
    """Counts images.

    Attributes:
      images: that were read.
      sizes: images by (height, width).
      classes: images that show a class, by class id.
      most_instances: single things of one image.
      void: pixels of no class.
      pixels: of labels.
      faults: what is wrong with images that could not be read, one line each.
    """

    images: int = 0
    sizes: Mapping[tuple[int, int], int] = dataclasses.field(default_factory=dict)
    classes: Mapping[int, int] = dataclasses.field(default_factory=dict)
    most_instances: int = 0
    void: int = 0
    pixels: int = 0
    faults: tuple[str, ...] = ()

    @classmethod
    def of(cls, entry: entries.ImageFile, spec: datasets.DatasetSpec) -> Self:
        """Reads an image and its label as `panpipe convert` does."""
        try:
            record = entries.load(entry)
        except errors.InputError as error:
            return cls(faults=(str(error),))
        size = {(record.height, record.width): 1}
        if record.panoptic is None:
            return cls(1, size)
        ids, areas = np.unique(record.panoptic, return_counts=True)
        classes, instances = spec.labels.decode(ids)
        is_void = classes == spec.labels.ignore_label
        is_thing = np.isin(classes, spec.labels.thing_ids) & (instances > 0)
        seen = dict.fromkeys(np.unique(classes[~is_void]).tolist(), 1)
        void, pixels = int(areas[is_void].sum()), int(areas.sum())
        return cls(1, size, seen, int(is_thing.sum()), void, pixels)

    def __add__(self, other: Self) -> Self:
        """Counts the images of both."""
        return dataclasses.replace(
            self,
            images=self.images + other.images,
            sizes=collections.Counter(self.sizes) + collections.Counter(other.sizes),
            classes=collections.Counter(self.classes) + collections.Counter(other.classes),
            most_instances=max(self.most_instances, other.most_instances),
            void=self.void + other.void,
            pixels=self.pixels + other.pixels,
            faults=self.faults + other.faults,
        )

    @property
    def largest(self) -> tuple[int, int]:
        """Greatest height and greatest width, maybe of two images; (0, 0) where no image was read."""
        return max((h for h, _ in self.sizes), default=0), max((w for _, w in self.sizes), default=0)
