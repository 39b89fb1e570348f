# SPDX-License-Identifier: Apache-2.0
"""Pictures of panoptic and semantic maps, for people to look at."""

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
    picture = segment_colors(panoptic, spec)
    picture[thing_outlines(panoptic, spec)] = _OUTLINE
    return picture


def segment_colors(panoptic: np.ndarray, spec: datasets.DatasetSpec) -> np.ndarray:
    """Returns the colours of panoptic ids, int32 [...]: the class's, shaded by instance; uint8 [..., 3]."""
    semantic, instance = spec.labels.decode(panoptic)
    is_thing = _is_thing(panoptic, spec)
    shade = np.where(is_thing, _SHADES[instance % len(_SHADES)], 0.0)[..., None]
    color = class_colors(semantic, spec).astype(np.float32)
    return (color * (1 - abs(shade)) + 255 * np.maximum(shade, 0)).astype(np.uint8)


def class_colors(semantic: np.ndarray, spec: datasets.DatasetSpec) -> np.ndarray:
    """Returns the colours of class ids, int32 [...], black for void and what is no class: uint8 [..., 3]."""
    palette = spec.palette()
    return palette[np.where((semantic >= 0) & (semantic < len(palette)), semantic, spec.labels.ignore_label)]


def instance_colors(instance: np.ndarray) -> np.ndarray:
    """Returns a colour of its own for each of 255 numbers, int [...], black for 0: uint8 [..., 3].

    Source: the colour map of Everingham et al., The PASCAL Visual Object Classes Challenge (IJCV 2010): the
    bits of a number go in turn to red, green and blue, the lowest to the highest bit of each.
    """
    numbers = np.arange(256)
    palette = np.zeros((256, 3), np.uint8)
    for bit in range(8):
        palette[:, bit % 3] |= ((numbers >> bit & 1) << (7 - bit // 3)).astype(np.uint8)
    return palette[np.where(instance > 0, (instance - 1) % 255 + 1, 0)]


def thing_outlines(panoptic: np.ndarray, spec: datasets.DatasetSpec) -> np.ndarray:
    """Marks the outlines that lie on things: bool [height, width]."""
    return outlines(panoptic) & _is_thing(panoptic, spec)


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
    return scale(image, (max(1, round(height * width / old)), width), is_label=is_label)


def scale(image: np.ndarray, size: tuple[int, int], *, is_label: bool) -> np.ndarray:
    """Scales an array [height, width, …] to `size`, (height, width).

    Args:
      image: uint8 [height, width, 3] or float32 [height, width]; anything where `is_label`.
      size: pixels.
      is_label: take the nearest pixel's value instead of averaging.
    """
    if image.shape[:2] == size:
        return image
    if not is_label:
        filter = Image.Resampling.LANCZOS if image.dtype == np.uint8 else Image.Resampling.BILINEAR
        return np.asarray(Image.fromarray(image).resize(size[::-1], filter))
    rows, columns = (
        ((np.arange(n) + 0.5) * old / n).astype(int) for n, old in zip(size, image.shape, strict=False)
    )
    return image[rows][:, columns]


def data_uri(picture: np.ndarray) -> str:
    """Encodes uint8 [height, width, 3] as a JPEG inside a data URI."""
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, 'JPEG', quality=85, subsampling=0, optimize=True)
    return 'data:image/jpeg;base64,' + base64.b64encode(buffer.getvalue()).decode()


def _is_thing(panoptic: np.ndarray, spec: datasets.DatasetSpec) -> np.ndarray:
    return np.isin(spec.labels.decode(panoptic)[0], spec.labels.thing_ids)
