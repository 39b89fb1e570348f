# SPDX-License-Identifier: Apache-2.0
"""The content of statistics.json: what the statistics job found in records.

The statistics job writes it; report and `panpipe workflow check` read it.
"""

import dataclasses
from collections.abc import Mapping

from panpipe.model.storage import descriptions

_STRIDE = 32  # the largest output stride of the networks


@dataclasses.dataclass(frozen=True)
class Extent:
    """Holds the smallest, the mean and the largest of some sizes, in pixels."""

    min: int
    mean: float
    max: int


@dataclasses.dataclass(frozen=True)
class Areas(Extent):
    """Holds the same of areas, and their quantiles by name, such as '0.5'."""

    quantiles: Mapping[str, float]


@dataclasses.dataclass(frozen=True)
class PerImage:
    """Holds the mean and the largest number of instances in an image that has a label."""

    mean: float
    max: int


@dataclasses.dataclass(frozen=True)
class Instances:
    """Counts instances; `area` is None where there are none."""

    total: int
    per_image: PerImage
    area: Areas | None = None


@dataclasses.dataclass(frozen=True)
class ClassCounts:
    """Counts one class.

    Attributes:
      id: class id.
      name: of the class.
      is_thing: its objects are instances.
      pixels: of the class.
      share: of all pixels, 0 .. 1.
      images: that show the class.
      instances: of the class.
      crowds: segments that are groups of things.
      weight: inverse of the share, with a mean of 1 over the classes that occur; 0 for the others.
    """

    id: int
    name: str
    is_thing: bool
    pixels: int
    share: float
    images: int
    instances: int
    crowds: int
    weight: float


@dataclasses.dataclass(frozen=True)
class Statistics:
    """Holds what is in records.

    Attributes:
      dataset: name of the data set.
      description: of a custom data set.
      images: records.
      labelled_images: records with a label.
      height, width: of the images.
      crop_size: height and width that hold the largest image: multiples of 32, plus 1.
      void_share: of all pixels, 0 .. 1.
      crowd_segments: of all classes.
      instances: of all classes.
      classes: all of the data set, in its order.
    """

    dataset: str
    description: descriptions.Description | None
    images: int
    labelled_images: int
    height: Extent
    width: Extent
    crop_size: tuple[int, int]
    void_share: float
    crowd_segments: int
    instances: Instances
    classes: tuple[ClassCounts, ...]

    @property
    def named(self) -> descriptions.Named:
        """The data set, as others keep a copy of it."""
        return descriptions.Named(self.dataset, self.description)


def crop_side(side: int) -> int:
    """Returns the smallest side of a crop, a multiple of 32 plus 1, that holds a side of an image."""
    return -(-(side - 1) // _STRIDE) * _STRIDE + 1
