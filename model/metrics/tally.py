# SPDX-License-Identifier: Apache-2.0
"""Everything that the evaluate job counts, as one value that adds up."""

import dataclasses
from collections.abc import Sequence
from typing import Self

import numpy as np

from panpipe.model import labels as label_codec
from panpipe.model.metrics import boundary, quality, resampling, sizes


@dataclasses.dataclass(frozen=True, eq=False)
class Image:
    """Holds the counts of one image.

    Attributes:
      name: image id.
      panoptic: its segments.
      pixels: int64 [3, num_classes], from `resampling.class_pixels`.
    """

    name: str
    panoptic: quality.PanopticQuality
    pixels: np.ndarray


@dataclasses.dataclass(frozen=True, eq=False)
class Tally:
    """Counts a set of images; `+` joins two sets, in any order and grouping.

    Attributes:
      panoptic: segments by class.
      boundary: the same, where outlines must agree as well, from `boundary.from_maps`.
      semantic: pixels by class.
      by_size: segments by class, one for each of `sizes.RANGES`.
      images: counts of each image, in no certain order.
    """

    panoptic: quality.PanopticQuality
    boundary: quality.PanopticQuality
    semantic: quality.ConfusionMatrix
    by_size: tuple[quality.PanopticQuality, ...]
    images: tuple[Image, ...]

    @classmethod
    def zero(cls, labels: label_codec.LabelSpec) -> Self:
        """Makes the neutral element of `+`."""
        panoptic = quality.PanopticQuality.zero(labels)
        semantic = quality.ConfusionMatrix.zero(labels)
        return cls(panoptic, panoptic, semantic, (panoptic,) * len(sizes.RANGES), ())

    @classmethod
    def from_maps(
        cls,
        name: str,
        ground_truth: np.ndarray,
        prediction: np.ndarray | None,
        classes: np.ndarray,
        labels: label_codec.LabelSpec,
    ) -> Self:
        """Counts one image.

        Args:
          name: image id.
          ground_truth: integer [height, width], panoptic ids with crowd as instance 0 of a thing class.
          prediction: integer [height, width], panoptic ids; None for a semantic-only model.
          classes: integer [height, width], predicted class ids.
          labels: what the ids mean.
        """
        semantic = quality.ConfusionMatrix.from_maps(labels.decode(ground_truth)[0], classes, labels)
        pixels = resampling.class_pixels(semantic)
        if prediction is None:
            nothing = cls.zero(labels)
            image = Image(name, nothing.panoptic, pixels)
            return dataclasses.replace(nothing, semantic=semantic, images=(image,))
        panoptic = quality.PanopticQuality.from_maps(ground_truth, prediction, labels)
        return cls(
            panoptic,
            boundary.from_maps(ground_truth, prediction, labels),
            semantic,
            sizes.from_maps(ground_truth, prediction, labels),
            (Image(name, panoptic, pixels),),
        )

    def missed(self, classes: Sequence[int], labels: label_codec.LabelSpec) -> Self:
        """Adds to the counts of one image segments without pixels, by their classes: none can be matched."""
        more = quality.PanopticQuality.missed(classes, labels)
        small, *larger = self.by_size
        (image,) = self.images
        return dataclasses.replace(
            self,
            panoptic=self.panoptic + more,
            boundary=self.boundary + more,
            by_size=(small + more, *larger),
            images=(dataclasses.replace(image, panoptic=image.panoptic + more),),
        )

    def __add__(self, other: Self) -> Self:
        """Joins the counts of two sets of images of one data set."""
        return type(self)(
            self.panoptic + other.panoptic,
            self.boundary + other.boundary,
            self.semantic + other.semantic,
            tuple(mine + yours for mine, yours in zip(self.by_size, other.by_size, strict=True)),
            self.images + other.images,
        )
