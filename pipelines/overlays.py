# SPDX-License-Identifier: Apache-2.0
"""An image with what was found in it: colours of classes, outlines and names of things."""

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from panpipe.model import datasets
from panpipe.pipelines import pictures

_SHARE = 0.45  # of the colours; the rest is the image
_FONT = 13  # pixels
_MIN_AREA = 1 / 800  # of the image: names of smaller things would hide them
_PAD = 2


def picture(image: np.ndarray, panoptic: np.ndarray, spec: datasets.DatasetSpec) -> np.ndarray:
    """Draws a panoptic map over its image.

    Args:
      image: uint8 [height, width, 3].
      panoptic: int32 [height, width].
      spec: names and colours of classes.

    Returns:
      uint8 [height, width, 3].
    """
    color = pictures.panoptic_picture(panoptic, spec)
    is_outline = (color == 255).all(axis=2)
    mixed = (image * (1 - _SHARE) + color * _SHARE).astype(np.uint8)
    mixed[is_outline] = 255
    canvas = Image.fromarray(mixed)
    draw, font = ImageDraw.Draw(canvas), ImageFont.load_default(_FONT)
    for place, name in _names(panoptic, spec):
        box = draw.textbbox(place, name, font=font, anchor='mm')
        draw.rounded_rectangle((box[0] - _PAD, box[1] - _PAD, box[2] + _PAD, box[3] + _PAD), 3, (0, 0, 0))
        draw.text(place, name, (255, 255, 255), font=font, anchor='mm')
    return np.asarray(canvas)


def _names(panoptic: np.ndarray, spec: datasets.DatasetSpec) -> list[tuple[tuple[float, float], str]]:
    """Lists places (x, y) and names of the things that are large enough."""
    found = []
    for number, area in zip(*np.unique(panoptic, return_counts=True), strict=True):
        semantic, instance = spec.labels.decode(int(number))
        if semantic in spec.labels.thing_ids and instance and area > panoptic.size * _MIN_AREA:
            y, x = np.nonzero(panoptic == number)
            found.append(((float(np.median(x)), float(np.median(y))), spec.by_id[semantic].name))
    return found
