# SPDX-License-Identifier: Apache-2.0
"""What one record shows, as far as advice needs it: pixels of classes, things that vanish, greys."""

import dataclasses
from collections.abc import Mapping

import numpy as np

from panpipe.model import errors, labels
from panpipe.model.inputs import records
from panpipe.model.metrics import data_findings, masks
from panpipe.pipelines.record_files import fingerprints


@dataclasses.dataclass(frozen=True)
class Look:
    """Describes a record.

    Attributes:
      image: names it.
      greys: of the image, for its fingerprint; None where it cannot be decoded.
      pixels: by class that is there; None where there is no label.
      things: single things by class.
      vanished: those without a pixel on the grid of a stride, by class and stride.
    """

    image: data_findings.Image
    greys: bytes | None
    pixels: Mapping[int, int] | None
    things: Mapping[int, int]
    vanished: Mapping[tuple[int, int], int]


def look(serialized: bytes, codec: labels.LabelSpec, split: str, file: str) -> Look:
    """Looks at one record.

    Raises:
      errors.InputError: the record or its label is damaged.
    """
    record = records.parse(serialized)
    image = data_findings.Image(record.image_id, split, file)
    try:
        greys = fingerprints.greys(record.encoded, record.image_id)
    except errors.InputError:
        greys = None
    if record.panoptic is None:
        return Look(image, greys, None, {}, {})
    return Look(image, greys, *count(record.panoptic, codec))


def count(
    panoptic: np.ndarray, codec: labels.LabelSpec
) -> tuple[dict[int, int], dict[int, int], dict[tuple[int, int], int]]:
    """Counts pixels and single things of a map by class, and by class and stride the things that vanish.

    A thing vanishes at a stride where no pixel of it lies on the grid of the pixels (0, 0), (0, stride), …,
    which is what a network of that output stride has one feature for.

    Args:
      panoptic: int32 [height, width].
      codec: of its ids.
    """
    pixels: dict[int, int] = {}
    things: dict[int, int] = {}
    vanished: dict[tuple[int, int], int] = {}
    extents = masks.extents(panoptic)
    seen = {stride: set(masks.present(panoptic[::stride, ::stride])) for stride in data_findings.STRIDES}
    for number, extent in extents.items():
        class_id, instance = codec.decode(number)
        if class_id == codec.ignore_label:
            continue
        pixels[class_id] = pixels.get(class_id, 0) + extent.area
        if class_id not in codec.thing_ids or not instance:
            continue
        things[class_id] = things.get(class_id, 0) + 1
        for stride, there in seen.items():
            if number not in there:
                vanished[class_id, stride] = vanished.get((class_id, stride), 0) + 1
    return pixels, things, vanished
