# SPDX-License-Identifier: Apache-2.0
"""Toy street scenes with exact panoptic labels, that a small network can learn from two dozen pictures.

A scene holds road, pavement, houses, trees and sky, cars, buses and people at several depths, sometimes a
crowd of people without instances, and the bonnet of the own car, which belongs to no segment.
"""

import collections
import dataclasses
import itertools
from collections.abc import Callable

import numpy as np
from PIL import Image

from panpipe.pipelines.toy_street import objects

# Label ids as Cityscapes numbers them.
EGO_VEHICLE, STATIC = 1, 4
ROAD, SIDEWALK, BUILDING, VEGETATION, SKY = 7, 8, 11, 21, 23
PERSON, CAR, BUS = 24, 26, 28

# Grain of each surface: (contrast of single pixels, contrast of patches) in grey levels.
_GRAIN = {
    ROAD: (7.0, 5.0),
    SIDEWALK: (6.0, 7.0),
    BUILDING: (4.0, 5.0),
    VEGETATION: (13.0, 12.0),
    SKY: (1.5, 4.0),
}
_DEFAULT_GRAIN = (3.0, 2.0)


@dataclasses.dataclass(frozen=True, eq=False)
class Scene:
    """Holds a picture and its label map.

    Attributes:
      image: uint8 [height, width, 3].
      ids: int32 [height, width] as in Cityscapes `instanceIds.png`: the label id, or label id * 1000 +
        instance of a thing; a thing's label id alone is a crowd.
    """

    image: np.ndarray
    ids: np.ndarray


@dataclasses.dataclass(frozen=True)
class _Figure:
    label: int
    draw: Callable[[objects.Canvas, np.random.Generator, float, float, float], None]
    x: float
    y: float
    size: float
    aspect: float
    is_numbered: bool = False

    def covers(self, other: '_Figure') -> float:
        """Returns the share of the other's box that this one's box hides."""
        half, other_half = self.aspect * self.size / 2, other.aspect * other.size / 2
        width = min(self.x + half, other.x + other_half) - max(self.x - half, other.x - other_half)
        height = min(self.y, other.y) - max(self.y - self.size, other.y - other.size)
        return max(width, 0) * max(height, 0) / (2 * other_half * other.size)


def draw(rng: np.random.Generator, height: int, width: int) -> Scene:
    """Draws one scene: the same for the same generator state."""
    canvas = objects.Canvas(height, width)
    aspect = width / height
    vanishing = (aspect * rng.uniform(0.42, 0.58), rng.uniform(0.36, 0.42))
    _background(canvas, rng, aspect, vanishing)
    placed = _place(rng, aspect, vanishing)
    instances = collections.Counter[int]()
    for figure in sorted(placed, key=lambda figure: figure.y):
        canvas.label = figure.label
        if figure.is_numbered:
            canvas.label = figure.label * 1000 + instances[figure.label]
            instances[figure.label] += 1
        figure.draw(canvas, rng, figure.x, figure.y, figure.size)
    canvas.label = EGO_VEHICLE
    canvas.ellipse(aspect / 2, 1.04, 0.36 * aspect, 0.1, (44, 48, 56))
    ids = canvas.labels()
    return Scene(_textured(canvas.picture(), ids, rng), ids)


def _background(
    canvas: objects.Canvas, rng: np.random.Generator, aspect: float, vanishing: objects.Point
) -> None:
    x, y = vanishing
    canvas.label = SKY
    blue = objects.shade((120, 170, 226), rng.uniform(0.9, 1.12))
    for row in range(12):
        canvas.box(0, row * y / 11, aspect, (row + 1) * y / 11, objects.shade(blue, 0.94 + 0.022 * row))
    canvas.label = SIDEWALK
    paving = objects.shade((182, 164, 150), rng.uniform(0.9, 1.1))
    canvas.box(0, y, aspect, 1, paving)
    canvas.label = BUILDING
    for side, edge in ((-1, 0.0), (1, aspect)):
        edges = x + (edge - x) * np.array([1.15, 0.72, 0.45, 0.28, 0.17, 0.1])
        for near, far in itertools.pairwise(edges):
            top = rng.uniform(0.2, 0.55) * abs(near - x) / (0.5 * aspect)
            objects.house(canvas, rng, (float(near), float(far)), top, vanishing)
        _trees(canvas, rng, vanishing, side * aspect / 2)
        canvas.label = BUILDING
    _road(canvas, rng, aspect, vanishing)


def _trees(canvas: objects.Canvas, rng: np.random.Generator, vanishing: objects.Point, reach: float) -> None:
    canvas.label = VEGETATION
    for depth in np.sort(rng.uniform(0.3, 0.85, rng.integers(1, 4))):
        size = 0.62 * float(depth)
        x = vanishing[0] + reach * float(depth) * rng.uniform(0.95, 1.1)
        objects.tree(canvas, rng, x, vanishing[1] + 0.16 * float(depth), size)


def _road(canvas: objects.Canvas, rng: np.random.Generator, aspect: float, vanishing: objects.Point) -> None:
    x, y = vanishing
    grey = objects.shade((92, 92, 98), rng.uniform(0.88, 1.12))
    canvas.label = ROAD
    for reach, color in ((0.53, objects.shade(grey, 1.35)), (0.505, grey)):
        canvas.polygon(((x, y), (x + reach * aspect, 1), (x - reach * aspect, 1)), color)
    for mark in range(7):
        near, far = 1 - 0.18 * mark, 1 - 0.18 * mark - 0.09
        if near <= 0.1:
            break
        low, high = y + (1 - y) * near**2, y + (1 - y) * max(far, 0.0) ** 2
        half, far_half = 0.014 * near**2, 0.014 * max(far, 0.0) ** 2
        paint = ((x - half, low), (x + half, low), (x + far_half, high), (x - far_half, high))
        canvas.polygon(paint, (226, 226, 220))


def _place(rng: np.random.Generator, aspect: float, vanishing: objects.Point) -> list[_Figure]:
    """Chooses what stands where, so that nothing hides more than a third of another."""
    placed: list[_Figure] = []
    makers = [
        *[_crowd] * int(rng.uniform() < 0.35),
        *[_bus] * int(rng.uniform() < 0.55),
        *[_car] * int(rng.integers(3, 7)),
        *[_person] * int(rng.integers(3, 7)),
        *[_bin] * int(rng.uniform() < 0.5),
    ]
    for make in makers:
        for _ in range(12):
            figure = make(rng, aspect, vanishing)
            if _stands_free(figure, placed):
                placed.append(figure)
                break
    return placed


def _stands_free(figure: _Figure, placed: list[_Figure]) -> bool:
    for other in placed:
        front, back = (figure, other) if figure.y > other.y else (other, figure)
        if front.covers(back) > 0.3:
            return False
    return True


def _spot(
    rng: np.random.Generator,
    aspect: float,
    vanishing: objects.Point,
    across: float,
    depth: tuple[float, float],
) -> tuple[float, float, float]:
    """Picks a point of the ground: (x, y, nearness), `across` half road widths from the middle."""
    near = rng.uniform(*depth)
    return (
        vanishing[0] + across * 0.5 * aspect * near,
        vanishing[1] + (1 - vanishing[1]) * near,
        near,
    )


def _car(rng: np.random.Generator, aspect: float, vanishing: objects.Point) -> _Figure:
    across = rng.choice((-0.78, -0.38, 0.38, 0.78)) + rng.uniform(-0.06, 0.06)
    x, y, near = _spot(rng, aspect, vanishing, across, (0.26, 0.8))
    return _Figure(CAR, objects.car, x, y, 0.06 + 0.3 * near, 1.3, True)


def _bus(rng: np.random.Generator, aspect: float, vanishing: objects.Point) -> _Figure:
    across = rng.choice((-0.5, 0.5)) + rng.uniform(-0.05, 0.05)
    x, y, near = _spot(rng, aspect, vanishing, across, (0.2, 0.55))
    return _Figure(BUS, objects.bus, x, y, 0.14 + 0.62 * near, 0.9, True)


def _pavement(
    rng: np.random.Generator, aspect: float, vanishing: objects.Point
) -> tuple[float, float, float]:
    """Picks a point of the pavement that is inside the picture."""
    side = rng.choice((-1, 1))
    x, y, near = _spot(rng, aspect, vanishing, side * rng.uniform(1.15, 1.6), (0.35, 0.8))
    return min(max(x, 0.05), aspect - 0.05), y, near


def _person(rng: np.random.Generator, aspect: float, vanishing: objects.Point) -> _Figure:
    x, y, near = _pavement(rng, aspect, vanishing)
    return _Figure(PERSON, objects.person, x, y, (0.13 + 0.3 * near) * rng.uniform(0.9, 1.1), 0.42, True)


def _bin(rng: np.random.Generator, aspect: float, vanishing: objects.Point) -> _Figure:
    x, y, near = _pavement(rng, aspect, vanishing)
    return _Figure(STATIC, _draw_bin, x, y, 0.05 + 0.12 * near, 0.6)


def _draw_bin(canvas: objects.Canvas, rng: np.random.Generator, x: float, y: float, size: float) -> None:
    canvas.box(x - 0.3 * size, y - size, x + 0.3 * size, y, (36, 82, 66))
    canvas.box(x - 0.33 * size, y - size, x + 0.33 * size, y - 0.85 * size, (52, 112, 90))


def _crowd(rng: np.random.Generator, aspect: float, vanishing: objects.Point) -> _Figure:
    x, y, near = _pavement(rng, aspect, vanishing)
    return _Figure(PERSON, _draw_crowd, x, y, 0.12 + 0.2 * near, 1.4)


def _draw_crowd(canvas: objects.Canvas, rng: np.random.Generator, x: float, y: float, size: float) -> None:
    for row in (0.06, 0.03, 0.0):
        for place in (-0.45, -0.15, 0.15, 0.45):
            at = x + (place + rng.uniform(-0.08, 0.08)) * size
            objects.person(canvas, rng, at, y - row * size, size * rng.uniform(0.85, 0.97))


def _textured(picture: np.ndarray, ids: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Gives each surface its grain and the scene its light: uint8 [height, width, 3]."""
    height, width = ids.shape
    table = np.tile(np.array(_DEFAULT_GRAIN), (34, 1))
    for label, grain in _GRAIN.items():
        table[label] = grain
    contrast = table[np.where(ids < 1000, ids, ids // 1000)]
    pixels = rng.normal(0, 1, (height, width))
    coarse = rng.normal(0, 1, (24, 48)).astype(np.float32)
    patches = np.asarray(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC))
    grain = contrast[..., 0] * pixels + contrast[..., 1] * patches
    light = rng.uniform(0.9, 1.08) * rng.uniform(0.97, 1.03, 3)
    return np.clip((picture + grain[..., None]) * light, 0, 255).round().astype(np.uint8)
