# SPDX-License-Identifier: Apache-2.0
"""Pictures of panoptic maps, for people to look at."""

import base64
import io

import numpy as np
from PIL import Image

from panpipe.model import datasets

# Shade of an instance by its number, to tell neighbours apart: share of white, or of black below 0.
_SHADES = np.array([0.0, 0.35, -0.3, 0.6, 0.15, -0.5, 0.45, -0.15], np.float32)
_OUTLINE = (255, 255, 255)


def panoptic_picture(panoptic: np.ndarray, spec: datasets.DatasetSpec) -> np.ndarray:
    """Colours a panoptic map: the class's colour, shaded by instance, things outlined, void black.

    Args:
      panoptic: int32 [height, width], ids of `spec.labels`.
      spec: classes and their colours.

    Returns:
      uint8 [height, width, 3], RGB.
    """
    semantic, instance = spec.labels.decode(panoptic)
    palette = spec.palette()
    color = palette[np.clip(semantic, 0, len(palette) - 1)].astype(np.float32)
    is_thing = spec.labels.thing_table()[np.clip(semantic, 0, len(palette) - 1)]
    shade = np.where(is_thing, _SHADES[instance % len(_SHADES)], 0.0)[..., None]
    picture = (color * (1 - abs(shade)) + 255 * np.maximum(shade, 0)).astype(np.uint8)
    picture[outlines(panoptic) & is_thing] = _OUTLINE
    return picture


def outlines(panoptic: np.ndarray) -> np.ndarray:
    """Marks the pixels whose right or lower neighbour belongs to another segment: bool [height, width]."""
    edge = np.zeros(panoptic.shape, bool)
    edge[:, :-1] |= panoptic[:, :-1] != panoptic[:, 1:]
    edge[:-1] |= panoptic[:-1] != panoptic[1:]
    return edge


def fit(image: np.ndarray, width: int, *, is_label: bool) -> np.ndarray:
    """Shrinks an array [height, width, …] to at most `width` pixels a row.

    Args:
      image: uint8 [height, width, 3], or int32 [height, width] where `is_label`.
      width: pixels.
      is_label: take the nearest pixel's value instead of averaging.
    """
    height, old = image.shape[:2]
    if old <= width:
        return image
    new = (max(1, round(height * width / old)), width)
    if not is_label:
        return np.asarray(Image.fromarray(image).resize((new[1], new[0]), Image.Resampling.LANCZOS))
    rows, columns = (
        ((np.arange(n) + 0.5) * size / n).astype(int) for n, size in zip(new, (height, old), strict=True)
    )
    return image[rows][:, columns]


def data_uri(picture: np.ndarray) -> str:
    """Encodes uint8 [height, width, 3] as a JPEG inside a data URI."""
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, 'JPEG', quality=85, subsampling=0, optimize=True)
    return 'data:image/jpeg;base64,' + base64.b64encode(buffer.getvalue()).decode()
