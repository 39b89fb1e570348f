# SPDX-License-Identifier: Apache-2.0
"""An image with what was found in it: colours of classes, outlines and names of things."""

from collections.abc import Mapping

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from panpipe.model import datasets
from panpipe.model.drawing import pictures

_SHARE = 0.45  # of the colours; the rest is the image
_FONT = 13  # pixels
_MIN_AREA = 1 / 800  # of the image: names of smaller things would hide them
_PAD = 2


def picture(
    image: np.ndarray,
    panoptic: np.ndarray,
    spec: datasets.DatasetSpec,
    names: Mapping[int, str] | None = None,
) -> np.ndarray:
    """Draws a panoptic map over its image.

    Args:
      image: uint8 [height, width, 3].
      panoptic: int32 [height, width].
      spec: names and colours of classes.
      names: of things by panoptic id, in place of those of their classes.

    Returns:
      uint8 [height, width, 3].
    """
    color = pictures.segment_colors(panoptic, spec)
    mixed = (image * (1 - _SHARE) + color * _SHARE).astype(np.uint8)
    mixed[pictures.thing_outlines(panoptic, spec)] = 255
    return write_names(mixed, panoptic, spec, names)


def write_names(
    drawn: np.ndarray,
    panoptic: np.ndarray,
    spec: datasets.DatasetSpec,
    names: Mapping[int, str] | None = None,
) -> np.ndarray:
    """Writes the names of things on a picture; of two that would touch, the smaller thing's is left out.

    Arguments and result are as those of `picture`.
    """
    canvas = Image.fromarray(drawn)
    draw, font = ImageDraw.Draw(canvas), ImageFont.load_default(_FONT)
    taken: list[tuple[float, float, float, float]] = []
    for place, name in _names(panoptic, spec, names or {}):
        left, top, right, bottom = draw.textbbox(place, name, font=font, anchor='mm')
        # A name at the edge is moved inside.
        x = max(_PAD - left, 0) + min(canvas.width - 1 - _PAD - right, 0)
        y = max(_PAD - top, 0) + min(canvas.height - 1 - _PAD - bottom, 0)
        box = (left + x - _PAD, top + y - _PAD, right + x + _PAD, bottom + y + _PAD)
        if any(_touch(box, other) for other in taken):
            continue
        taken.append(box)
        draw.rounded_rectangle(box, 3, (0, 0, 0))
        draw.text((place[0] + x, place[1] + y), name, (255, 255, 255), font=font, anchor='mm')
    return np.asarray(canvas)


def _names(
    panoptic: np.ndarray, spec: datasets.DatasetSpec, names: Mapping[int, str]
) -> list[tuple[tuple[float, float], str]]:
    """Lists places (x, y) and names of the things that are large enough, the largest first."""
    found = []
    for number, area in zip(*np.unique(panoptic, return_counts=True), strict=True):
        semantic, instance = spec.labels.decode(int(number))
        if semantic in spec.labels.thing_ids and instance and area > panoptic.size * _MIN_AREA:
            y, x = np.nonzero(panoptic == number)
            name = names.get(int(number), spec.by_id[semantic].name)
            found.append((int(area), (float(np.median(x)), float(np.median(y))), name))
    return [(place, name) for _, place, name in sorted(found, key=lambda thing: -thing[0])]


def _touch(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]
