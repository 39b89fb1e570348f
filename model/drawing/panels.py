# SPDX-License-Identifier: Apache-2.0
"""Pictures of what the heads say or should say: centers, offsets, and where the losses look."""

import enum
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw

from panpipe.model import datasets, tensors
from panpipe.model.drawing import flow, pictures

Size = tuple[int, int]

# From the foot of a Gaussian to its top: from dark red by orange and yellow to white.
_HEAT = np.array([(90, 0, 40), (200, 30, 40), (245, 130, 25), (255, 225, 90), (255, 255, 235)], np.float32)
_DIM = 0.45  # brightness of the image below what is drawn
_DOT = 2  # pixels, radius
_OVERSAMPLING = 4
# A Gaussian is 1 at its center, and nowhere else.
_PEAK = 1 - 1e-6


class Use(enum.IntEnum):
    """Names the losses that a pixel enters."""

    VOID = 0
    CROWD = 1
    STUFF = 2
    THING = 3
    SMALL = 4


# By Use: readable for the colour-blind too (Okabe and Ito, 2008).
USE_COLORS = np.array([(0, 0, 0), (204, 121, 167), (150, 158, 166), (0, 114, 178), (230, 159, 0)], np.uint8)
USE_NAMES = {
    Use.STUFF: 'stuff: classes and centers',
    Use.THING: 'things: classes, centers and offsets',
    Use.SMALL: 'small things: classes weigh more',
    Use.CROWD: 'crowd: classes only',
    Use.VOID: 'void: nothing',
}


class Panel(NamedTuple):
    """Holds a picture, uint8 [height, width, 3], and what to write above it."""

    caption: str
    picture: np.ndarray


def fitted(height: int, width: int, limit: Size) -> Size:
    """Returns the largest size of the same shape within `limit`, all sizes (height, width)."""
    factor = min(limit[0] / height, limit[1] / width)
    return max(1, round(height * factor)), max(1, round(width * factor))


def peaks(center: np.ndarray) -> np.ndarray:
    """Finds the centers that a target heat-map, float32 [height, width], was made of: int64 [n, (y, x)]."""
    return np.argwhere(center >= _PEAK)


def heat(image: np.ndarray, center: np.ndarray, points: np.ndarray, size: Size) -> np.ndarray:
    """Draws a heat-map over its image in dim grey, with a dot at each center.

    Args:
      image: uint8 [height, width, 3].
      center: float32 [height, width], 0 .. 1.
      points: [n, (y, x)], pixels of `image`.
      size: of the result, (height, width).

    Returns:
      uint8 [*size, 3].
    """
    strength = np.clip(_shrunk(center.astype(np.float32), size), 0, 1)
    # The root lets the slopes of narrow peaks be seen.
    share = np.sqrt(strength)[..., None]
    picture = _dim(image, size) * (1 - share) + heat_colors(strength) * share
    return dots(picture.astype(np.uint8), points, (size[0] / len(center), size[1] / center.shape[1]))


def _shrunk(center: np.ndarray, size: Size) -> np.ndarray:
    """Scales a heat-map; where it shrinks, the largest value stays, for a mean would wash peaks away."""
    for axis, (old, new) in enumerate(zip(center.shape, size, strict=True)):
        if new < old:
            center = np.maximum.reduceat(center, np.arange(new) * old // new, axis=axis)
    return pictures.scale(center, size, is_label=False)


def heat_colors(strength: np.ndarray) -> np.ndarray:
    """Returns the colour of heat 0 .. 1, float [...]: float32 [..., 3], 0 .. 255."""
    place = strength * (len(_HEAT) - 1)
    return np.stack([np.interp(place, range(len(_HEAT)), channel) for channel in _HEAT.T], axis=-1)


def offsets(
    image: np.ndarray, offset: np.ndarray, is_shown: np.ndarray, size: Size, reach: float | None = None
) -> np.ndarray:
    """Draws offsets by the colour wheel where `is_shown`, over the image in dim grey.

    Args:
      image: uint8 [height, width, 3].
      offset: float32 [height, width, 2], (y, x) pixels.
      is_shown: bool [height, width].
      size: of the result, (height, width).
      reach: length in pixels that has the full colour; longer ones are darker. None means the longest shown.

    Returns:
      uint8 [*size, 3].
    """
    reach = longest(offset, is_shown) if reach is None else reach
    shown = pictures.scale(is_shown, size, is_label=True)
    picture = _dim(image, size).astype(np.uint8)
    picture[shown] = flow.colors(pictures.scale(offset, size, is_label=True)[shown], reach)
    return picture


def longest(offset: np.ndarray, is_shown: np.ndarray) -> float:
    """Returns the length of the longest offset where `is_shown`, in pixels; 0 where nothing is."""
    chosen = offset[is_shown]
    return float(np.hypot(chosen[:, 0], chosen[:, 1]).max(initial=0.0))


def uses(targets: tensors.Targets, ignore_label: int) -> np.ndarray:
    """Tells which losses look at each pixel of targets [height, width]: uint8 [height, width] of `Use`."""
    is_thing = targets.offset_weight > 0
    found = np.where(is_thing, Use.THING, Use.STUFF).astype(np.uint8)
    found[is_thing & (targets.semantic_weight > 1)] = Use.SMALL
    found[targets.center_weight == 0] = Use.CROWD
    found[targets.semantic == ignore_label] = Use.VOID
    return found


def losses(image: np.ndarray, found: np.ndarray, size: Size) -> np.ndarray:
    """Tints an image, in grey, by what `uses` found; void is black. The result is uint8 [*size, 3]."""
    found = pictures.scale(found, size, is_label=True)
    grey = pictures.scale(image, size, is_label=False).mean(axis=2, keepdims=True)
    share = np.array([1.0, 0.65, 0.15, 0.65, 0.7])[found][..., None]
    return (grey * (1 - share) + USE_COLORS[found] * share).astype(np.uint8)


def of_targets(
    image: np.ndarray, targets: tensors.AnyTargets, spec: datasets.DatasetSpec, size: Size
) -> list[Panel]:
    """Draws the targets of an image uint8 [height, width, 3].

    They are classes, centers, offsets, and use by the losses; of a mask transformer classes and things.

    Args:
      image: what the targets belong to.
      targets: arrays without a batch axis.
      spec: colours of classes.
      size: of each picture, (height, width).
    """
    if isinstance(targets, tensors.MaskTargets):
        return _of_masks(targets, spec, size)
    is_thing = targets.offset_weight > 0
    points = peaks(targets.center)
    found = uses(targets, spec.labels.ignore_label)
    semantic = pictures.scale(targets.semantic, size, is_label=True)
    reach = longest(targets.offset, is_thing)
    return [
        Panel('classes', pictures.class_colors(semantic, spec)),
        Panel(f'centers: {len(points)}', heat(image, targets.center, points, size)),
        Panel(f'offsets: up to {reach:.0f} px', offsets(image, targets.offset, is_thing, size)),
        Panel('where the losses look', losses(image, found, size)),
    ]


def _of_masks(targets: tensors.MaskTargets, spec: datasets.DatasetSpec, size: Size) -> list[Panel]:
    semantic, things = (
        pictures.scale(each, size, is_label=True) for each in (targets.semantic, targets.thing_id_mask + 1)
    )
    return [
        Panel('classes', pictures.class_colors(semantic, spec)),
        Panel(f'masks of {(targets.thing_id_class >= 0).sum()} things', pictures.instance_colors(things)),
    ]


def _dim(image: np.ndarray, size: Size) -> np.ndarray:
    grey = pictures.scale(image, size, is_label=False).mean(axis=2, keepdims=True)
    return np.repeat(grey * _DIM, 3, axis=2)


def dots(
    picture: np.ndarray, points: Sequence[Sequence[float]] | np.ndarray, zoom: tuple[float, float]
) -> np.ndarray:
    """Draws a white dot with a black rim at each of the points (y, x)."""
    canvas = Image.fromarray(picture)
    dot, middle = _stamp()
    for y, x in points:
        place = round((x + 0.5) * zoom[1] - 0.5) - middle, round((y + 0.5) * zoom[0] - 0.5) - middle
        canvas.paste(dot, place, dot)
    return np.asarray(canvas)


def _stamp() -> tuple[Image.Image, int]:
    """Returns a smooth dot on clear ground, and the place of its middle pixel."""
    side = 2 * _DOT + 5
    large = Image.new('RGBA', (side * _OVERSAMPLING, side * _OVERSAMPLING), (0, 0, 0, 0))
    draw, middle = ImageDraw.Draw(large), side * _OVERSAMPLING / 2 - 0.5
    for radius, color in ((_DOT + 2, (0, 0, 0, 255)), (_DOT + 0.5, (255, 255, 255, 255))):
        reach = radius * _OVERSAMPLING
        draw.ellipse((middle - reach, middle - reach, middle + reach, middle + reach), color)
    return large.resize((side, side), Image.Resampling.BOX), side // 2
