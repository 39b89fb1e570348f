# SPDX-License-Identifier: Apache-2.0
"""What stands in a toy street: cars, buses, people, trees and houses, drawn with their labels.

Lengths are in heights of the picture: y runs from 0 (top) to 1 (bottom), x from 0 to width / height.
A figure stands on the point (x, y), the middle of its foot, and `size` is its height.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

Color = tuple[int, int, int]
Point = tuple[float, float]

# Drawn larger and averaged down, so that edges are smooth.
_OVERSAMPLING = 2

_GLASS = (58, 72, 88)
_TYRE = (22, 22, 24)
_CAR_COLORS: tuple[Color, ...] = (
    (186, 32, 38), (36, 74, 158), (214, 214, 216), (24, 110, 96), (232, 170, 34), (92, 98, 108),
    (122, 44, 128),
)  # fmt: skip
_BUS_COLORS: tuple[Color, ...] = ((240, 196, 48), (244, 148, 36))
_SHIRTS: tuple[Color, ...] = (
    (226, 74, 52), (250, 214, 80), (66, 146, 220), (238, 130, 178), (244, 244, 240), (96, 190, 110),
)  # fmt: skip
_SKIN: tuple[Color, ...] = ((236, 188, 152), (196, 140, 102), (122, 82, 58))


def shade(color: Color, factor: float) -> Color:
    """Makes a colour lighter (factor above 1) or darker."""
    red, green, blue = (min(255, max(0, round(value * factor))) for value in color)
    return red, green, blue


@dataclasses.dataclass
class Canvas:
    """Holds a picture and its label map, drawn together.

    Attributes:
      height: pixels.
      width: pixels.
      label: what the next shapes are, as Cityscapes numbers it: a label id, or label id * 1000 + instance.
    """

    height: int
    width: int
    label: int = 0

    def __post_init__(self) -> None:
        size = (self.width * _OVERSAMPLING, self.height * _OVERSAMPLING)
        self._picture = Image.new('RGB', size)
        self._labels = Image.new('I', size)
        self._on_picture = ImageDraw.Draw(self._picture)
        self._on_labels = ImageDraw.Draw(self._labels)

    def polygon(self, points: Sequence[Point], color: Color) -> None:
        """Fills a polygon of (x, y) points."""
        corners = [(x * self._scale, y * self._scale) for x, y in points]
        self._on_picture.polygon(corners, fill=color)
        self._on_labels.polygon(corners, fill=self.label)

    def box(self, left: float, top: float, right: float, bottom: float, color: Color) -> None:
        """Fills a rectangle."""
        self.polygon(((left, top), (right, top), (right, bottom), (left, bottom)), color)

    def ellipse(self, x: float, y: float, radius_x: float, radius_y: float, color: Color) -> None:
        """Fills an ellipse around (x, y)."""
        edges = [x - radius_x, y - radius_y, x + radius_x, y + radius_y]
        corners = [edge * self._scale for edge in edges]
        self._on_picture.ellipse(corners, fill=color)
        self._on_labels.ellipse(corners, fill=self.label)

    def picture(self) -> np.ndarray:
        """Returns float64 [height, width, 3], 0 .. 255."""
        return np.asarray(self._picture.resize((self.width, self.height), Image.Resampling.BOX), np.float64)

    def labels(self) -> np.ndarray:
        """Returns int32 [height, width]."""
        return np.array(self._labels, np.int32)[::_OVERSAMPLING, ::_OVERSAMPLING].copy()

    @property
    def _scale(self) -> float:
        return float(self.height * _OVERSAMPLING)


def car(canvas: Canvas, rng: np.random.Generator, x: float, y: float, size: float) -> None:
    """Draws a car from behind, 1.3 times as wide as high."""
    color = _CAR_COLORS[rng.integers(len(_CAR_COLORS))]
    half = 0.65 * size
    for side in (-1, 1):
        wheel = x + side * 0.42 * size
        canvas.box(wheel - 0.12 * size, y - 0.25 * size, wheel + 0.12 * size, y, _TYRE)
    roof = ((x - 0.4 * size, y - size), (x + 0.4 * size, y - size))
    canvas.polygon((*roof, (x + 0.56 * size, y - 0.55 * size), (x - 0.56 * size, y - 0.55 * size)), color)
    pane = ((x - 0.34 * size, y - 0.93 * size), (x + 0.34 * size, y - 0.93 * size))
    canvas.polygon((*pane, (x + 0.46 * size, y - 0.6 * size), (x - 0.46 * size, y - 0.6 * size)), _GLASS)
    canvas.box(x - half, y - 0.58 * size, x + half, y - 0.14 * size, color)
    canvas.box(x - half, y - 0.24 * size, x + half, y - 0.12 * size, shade(color, 0.6))
    canvas.box(x - 0.17 * size, y - 0.38 * size, x + 0.17 * size, y - 0.28 * size, (240, 240, 228))
    for side in (-1, 1):
        light = x + side * 0.53 * size
        canvas.box(light - 0.1 * size, y - 0.52 * size, light + 0.1 * size, y - 0.4 * size, (252, 84, 62))


def bus(canvas: Canvas, rng: np.random.Generator, x: float, y: float, size: float) -> None:
    """Draws a bus from the front, 0.9 times as wide as high."""
    color = _BUS_COLORS[rng.integers(len(_BUS_COLORS))]
    for side in (-1, 1):
        wheel = x + side * 0.3 * size
        canvas.box(wheel - 0.09 * size, y - 0.12 * size, wheel + 0.09 * size, y, _TYRE)
    half = 0.45 * size
    canvas.box(x - half, y - 0.97 * size, x + half, y - 0.06 * size, color)
    canvas.box(x - 0.3 * size, y - size, x + 0.3 * size, y - 0.84 * size, (34, 34, 34))
    canvas.box(x - 0.22 * size, y - 0.95 * size, x + 0.22 * size, y - 0.89 * size, (255, 226, 120))
    canvas.box(x - 0.38 * size, y - 0.8 * size, x + 0.38 * size, y - 0.4 * size, _GLASS)
    canvas.box(x - 0.01 * size, y - 0.8 * size, x + 0.01 * size, y - 0.4 * size, shade(color, 0.8))
    canvas.box(x - half, y - 0.16 * size, x + half, y - 0.06 * size, shade(color, 0.6))
    for side in (-1, 1):
        canvas.ellipse(x + side * 0.34 * size, y - 0.24 * size, 0.06 * size, 0.05 * size, (255, 252, 224))


def person(canvas: Canvas, rng: np.random.Generator, x: float, y: float, size: float) -> None:
    """Draws a standing person, 0.42 times as wide as high."""
    shirt = _SHIRTS[rng.integers(len(_SHIRTS))]
    skin = _SKIN[rng.integers(len(_SKIN))]
    trousers = shade((52, 60, 92), rng.uniform(0.6, 1.3))
    for side in (-1, 1):
        foot = x + side * 0.09 * size
        canvas.box(foot - 0.075 * size, y - 0.5 * size, foot + 0.075 * size, y, trousers)
        hand = x + side * 0.17 * size
        canvas.box(
            hand - 0.045 * size, y - 0.8 * size, hand + 0.045 * size, y - 0.46 * size, shade(shirt, 0.8)
        )
    canvas.box(x - 0.14 * size, y - 0.83 * size, x + 0.14 * size, y - 0.44 * size, shirt)
    canvas.ellipse(x, y - 0.9 * size, 0.085 * size, 0.1 * size, skin)
    canvas.ellipse(x, y - 0.95 * size, 0.085 * size, 0.055 * size, shade((66, 46, 32), rng.uniform(0.4, 1.6)))


def tree(canvas: Canvas, rng: np.random.Generator, x: float, y: float, size: float) -> None:
    """Draws a tree, a trunk below a crown of leaves."""
    canvas.box(x - 0.035 * size, y - 0.5 * size, x + 0.035 * size, y, (84, 64, 44))
    green = shade((58, 116, 44), rng.uniform(0.85, 1.15))
    for _ in range(14):
        angle, radius = rng.uniform(0, 2 * np.pi), 0.2 * size * np.sqrt(rng.uniform())
        at = (x + radius * np.cos(angle), y - 0.68 * size + 0.9 * radius * np.sin(angle))
        canvas.ellipse(*at, 0.13 * size, 0.12 * size, shade(green, rng.uniform(0.75, 1.2)))


def house(
    canvas: Canvas, rng: np.random.Generator, edges: tuple[float, float], top: float, vanishing: Point
) -> None:
    """Draws a facade that recedes to the vanishing point, with rows of windows.

    Args:
      canvas: what to draw on.
      rng: chooses the paint.
      edges: x of the near and the far edge.
      top: height of the near edge above the horizon, which it exceeds by a tenth below.
      vanishing: where all level lines meet.
    """
    walls: tuple[Color, ...] = (
        (170, 118, 92),
        (188, 162, 128),
        (148, 138, 132),
        (160, 92, 76),
        (196, 184, 160),
    )
    wall = shade(walls[rng.integers(len(walls))], rng.uniform(0.85, 1.1))
    near, far = edges

    def at(along: float, up: float) -> Point:
        """Maps (0 .. 1 along the facade, 0 .. 1 from the roof down) to the picture."""
        x = near + along * (far - near)
        share = (x - vanishing[0]) / (near - vanishing[0])
        return x, vanishing[1] + share * (-top + up * (top + 0.1))

    def quad(left: float, high: float, right: float, low: float, color: Color) -> None:
        canvas.polygon((at(left, high), at(right, high), at(right, low), at(left, low)), color)

    quad(0, 0, 1, 1, wall)
    quad(0, 0, 1, 0.04, shade(wall, 0.7))
    rows, columns = max(2, round(top / 0.11)), 3
    pane = shade((92, 112, 132), rng.uniform(0.7, 1.2))
    for row in range(rows):
        for column in range(columns):
            left, high = (column + 0.25) / columns, 0.1 + 0.85 * (row + 0.1) / rows
            quad(left, high, left + 0.5 / columns, high + 0.5 / rows, pane)
