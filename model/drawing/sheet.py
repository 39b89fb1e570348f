# SPDX-License-Identifier: Apache-2.0
"""A sheet of pictures: rows of captioned panels, and keys that explain their colours."""

import dataclasses
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from panpipe.model.drawing import panels

WIDTH = 1960  # pixels
PAPER = (247, 248, 250)
_INK, _PALE = (24, 28, 34), (96, 104, 114)
_MARGIN, _GAP = 28, 20
_TITLE, _HEADING, _TEXT = 26, 19, 17  # font sizes, pixels
_SWATCH = (20, 28)
_LINE = 1.35
_TALLEST = 1.15  # of a panel, in widths


class Entry(NamedTuple):
    """One line of a key.

    Attributes:
      swatch: a colour, or a small picture uint8 [height, width, 3].
      text: what it stands for.
      note: more about that, in pale ink.
    """

    swatch: tuple[int, int, int] | np.ndarray
    text: str
    note: str = ''


class Key(NamedTuple):
    """Explains colours: a heading and its entries."""

    heading: str
    entries: Sequence[Entry]


@dataclasses.dataclass(frozen=True)
class Sheet:
    """Lists what a sheet shows, from top to bottom: title, rows of panels, keys."""

    title: str
    rows: Sequence[Sequence[panels.Panel]]
    keys: Sequence[Key]

    def draw(self) -> np.ndarray:
        """Draws the sheet: uint8 [height, WIDTH, 3]."""
        strips = [_line(self.title, _TITLE, _INK)]
        strips += [_row(row) for row in self.rows]
        for key in self.keys:
            strips += [_line(key.heading, _HEADING, _INK), *_entries(key.entries)]
        space = np.full((_GAP, WIDTH, 3), PAPER, np.uint8)
        parts = [part for strip in strips for part in (strip, space[: _GAP // 2])]
        return np.concatenate([space, *parts, space])


def panel_size(height: int, width: int, columns: int) -> panels.Size:
    """Returns the size (height, width) of a panel of an image in a row of so many."""
    room = (WIDTH - 2 * _MARGIN - (columns - 1) * _GAP) // columns
    return panels.fitted(height, width, (round(room * _TALLEST), room))


def _row(row: Sequence[panels.Panel]) -> np.ndarray:
    height = max(len(panel.picture) for panel in row)
    caption = round(_TEXT * _LINE)
    canvas = Image.new('RGB', (WIDTH, height + caption), PAPER)
    draw, font = ImageDraw.Draw(canvas), ImageFont.load_default(_TEXT)
    x = _MARGIN
    for panel in row:
        draw.text((x, caption // 2 - 2), panel.caption, _INK, font=font, anchor='lm')
        canvas.paste(Image.fromarray(panel.picture), (x, caption))
        x += panel.picture.shape[1] + _GAP
    return np.asarray(canvas)


def _line(text: str, size: int, color: tuple[int, int, int]) -> np.ndarray:
    canvas = Image.new('RGB', (WIDTH, round(size * _LINE)), PAPER)
    font = ImageFont.load_default(size)
    place = (_MARGIN, canvas.height // 2)
    ImageDraw.Draw(canvas).text(
        place, _shortened(text, font, WIDTH - 2 * _MARGIN), color, font=font, anchor='lm'
    )
    return np.asarray(canvas)


def _shortened(text: str, font: ImageFont.FreeTypeFont, room: float) -> str:
    """Cuts the middle of a text out until it has room."""
    if font.getlength(text) <= room:
        return text
    half = len(text) // 2
    while half and font.getlength(f'{text[:half]} ... {text[-half:]}') > room:
        half -= 1
    return f'{text[:half]} ... {text[-half:]}'


def _entries(entries: Sequence[Entry]) -> list[np.ndarray]:
    """Draws entries side by side if there is room, else in columns of one width, read downwards."""
    if not entries:
        return []
    drawn = [_entry(entry) for entry in entries]
    room = WIDTH - 2 * _MARGIN + 2 * _GAP
    widths = [part.shape[1] + 2 * _GAP for part in drawn]
    columns, steps = len(drawn), widths
    if sum(widths) > room:
        columns = max(1, room // max(widths))
        steps = [room // columns] * columns
    rows = -(-len(drawn) // columns)
    heights = [max(len(part) for part in drawn[row::rows]) for row in range(rows)]
    canvas = np.full((sum(heights), WIDTH, 3), PAPER, np.uint8)
    for number, part in enumerate(drawn):
        row, x = number % rows, _MARGIN + sum(steps[: number // rows])
        y = sum(heights[:row]) + (heights[row] - len(part)) // 2
        canvas[y : y + len(part), x : x + part.shape[1]] = part[:, : WIDTH - x]
    return [canvas]


def _entry(entry: Entry) -> np.ndarray:
    font = ImageFont.load_default(_TEXT)
    swatch = entry.swatch
    if not isinstance(swatch, np.ndarray):
        swatch = np.full((*_SWATCH, 3), swatch, np.uint8)
    space = _GAP // 2
    lengths = [font.getlength(text) for text in (entry.text, entry.note)]
    height = max(len(swatch), round(_TEXT * _LINE)) + 6
    width = swatch.shape[1] + space + round(sum(lengths)) + space
    canvas = Image.new('RGB', (width, height), PAPER)
    draw = ImageDraw.Draw(canvas)
    canvas.paste(Image.fromarray(swatch), (0, (height - len(swatch)) // 2))
    x = swatch.shape[1] + space
    draw.text((x, height // 2), entry.text, _INK, font=font, anchor='lm')
    draw.text((x + lengths[0] + space, height // 2), entry.note, _PALE, font=font, anchor='lm')
    return np.asarray(canvas)
