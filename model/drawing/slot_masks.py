# SPDX-License-Identifier: Apache-2.0
"""A sheet of the masks that a mask transformer's surest slots claim in an image."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from panpipe.model import datasets
from panpipe.model.drawing import overlays, panels, pictures, sheet

_COLUMNS = 4
_DIM = 0.5  # brightness of the image below a mask
_SHARE = 0.75  # of the colour where a slot is sure
_EDGE = 0.5  # probability where a mask is outlined


class SlotMask(NamedTuple):
    """Holds a slot and its mask.

    Attributes:
      slot: its index, from 0.
      label: the class that it prefers.
      sureness: 0 .. 1.
      mask: float32 [height, width], the probability that a pixel belongs to the slot.
    """

    slot: int
    label: int
    sureness: float
    mask: np.ndarray


def draw(
    title: str,
    image: np.ndarray,
    panoptic: np.ndarray,
    masks: Sequence[SlotMask],
    spec: datasets.DatasetSpec,
) -> np.ndarray:
    """Draws the image, its prediction, and the masks in the order given.

    Args:
      title: of the sheet.
      image: uint8 [height, width, 3].
      panoptic: int32 [height, width], the prediction.
      masks: of the same image, at any resolution.
      spec: names and colours of the classes.

    Returns:
      uint8 [any, sheet.WIDTH, 3].
    """
    size = sheet.panel_size(image.shape[0], image.shape[1], _COLUMNS)
    photo = pictures.scale(image, size, is_label=False)
    found = pictures.scale(panoptic, size, is_label=True)
    drawn = [
        panels.Panel('image', photo),
        panels.Panel('prediction', overlays.picture(photo, found, spec)),
        *(panels.Panel(_caption(one, spec), _claim(photo, one, spec)) for one in masks),
    ]
    rows = [drawn[i : i + _COLUMNS] for i in range(0, len(drawn), _COLUMNS)]
    return sheet.Sheet(title, rows, []).draw()


def _caption(one: SlotMask, spec: datasets.DatasetSpec) -> str:
    return f'slot {one.slot}: {spec.by_id[one.label].name}, {100 * one.sureness:.0f} % sure'


def _claim(photo: np.ndarray, one: SlotMask, spec: datasets.DatasetSpec) -> np.ndarray:
    """Tints what a slot claims in the colour of its class, and outlines where it is likelier than not."""
    mask = pictures.scale(one.mask.astype(np.float32), photo.shape[:2], is_label=False)
    share = _SHARE * np.clip(mask, 0, 1)[..., None]
    dim = photo.mean(axis=2, keepdims=True) * (_DIM + (1 - _DIM) * share)
    color = np.asarray(spec.by_id[one.label].color, np.float32)
    mixed = (dim * (1 - share) + color * share).astype(np.uint8)
    mixed[pictures.outlines(mask > _EDGE)] = 255
    return mixed
