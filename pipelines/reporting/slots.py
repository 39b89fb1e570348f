# SPDX-License-Identifier: Apache-2.0
"""The report's section on the slots of a mask transformer: which class each prefers, and the surest masks."""

import collections
import pathlib
from collections.abc import Sequence
from typing import NamedTuple

import matplotlib.figure
import numpy as np
from PIL import Image

from panpipe.model import datasets, errors
from panpipe.model.drawing import pictures
from panpipe.model.metrics import result_files, slot_use
from panpipe.pipelines.reporting import charts

_INCH_A_SLOT, _INCH_A_CLASS = 0.2, 0.24
_LARGEST = 30.0  # inches
_NUMBERED = 60  # slots whose counts can be read


class Section(NamedTuple):
    """Holds what the page shows of slots.

    Attributes:
      told: in words, what was counted.
      chart: `<svg>` element.
      pictures: data URI by image id.
    """

    told: str
    chart: str
    pictures: dict[str, str]


def read(folder: pathlib.Path | None, spec: datasets.DatasetSpec) -> Section | None:
    """Reads the folder `slots` of a run; None without a folder.

    Raises:
      errors.InputError: it cannot be read, or is of another data set.
    """
    if folder is None:
        return None
    found = result_files.read_typed(slot_use.SlotResult, folder / slot_use.FILE, 'train')
    if found.dataset != spec.name:
        raise errors.InputError(
            f'--slots {folder} is of {found.dataset}, but --dataset is {spec.name}; give that of one run'
        )
    return Section(
        told(found),
        chart(found, spec),
        {one.image_id: _picture(folder / one.file) for one in found.pictures},
    )


def told(found: slot_use.SlotResult) -> str:
    """Words how many slots are in use, and how many always hold the same class."""
    faithful = sum(len(one.images) == 1 for one in found.slots)
    return (
        f'{len(found.slots)} of {found.num_slots} slots hold a segment in any of {found.num_images} images; '
        f'{faithful} of them only ever one class.'
    )


def chart(found: slot_use.SlotResult, spec: datasets.DatasetSpec) -> str:
    """Draws in how many images each slot (column) holds each class (row), those in use alone.

    Slots stand in the order of the class that they hold most often.
    """
    names = [category.name for category in spec.categories]
    occurs = [name for name in names if any(name in one.images for one in found.slots)]
    ordered = sorted(found.slots, key=lambda one: _place(one, occurs))
    if not ordered:
        return ''
    counts = np.array([[one.images.get(name, 0) for one in ordered] for name in occurs])
    return _drawn(counts, occurs, [str(one.slot) for one in ordered], found.num_images)


def _place(one: slot_use.SlotFigures, names: Sequence[str]) -> tuple[int, int, int]:
    name, count = collections.Counter(dict(one.images)).most_common(1)[0]
    return names.index(name), -count, one.slot


def _drawn(counts: np.ndarray, names: Sequence[str], slots: Sequence[str], most: int) -> str:
    width, height = (
        min(_LARGEST, room + unit * number)
        for room, unit, number in ((2.0, _INCH_A_SLOT, len(slots)), (0.9, _INCH_A_CLASS, len(names)))
    )
    figure = matplotlib.figure.Figure(figsize=(width, height), layout='constrained')
    axes = figure.add_subplot()
    axes.imshow(counts, cmap='viridis', vmin=0, vmax=most, interpolation='nearest', aspect='auto')
    axes.set_xticks(range(len(slots)), slots, rotation=90, fontsize=7, color=charts.GREY)
    axes.set_yticks(range(len(names)), names, fontsize=7, color=charts.GREY)
    axes.set_xlabel('slot', color=charts.GREY, fontsize=8)
    if len(slots) <= _NUMBERED:
        for i, j in zip(*np.nonzero(counts), strict=True):
            ink = 'black' if counts[i, j] > 0.6 * most else 'white'
            axes.text(j, i, str(counts[i, j]), ha='center', va='center', fontsize=6, color=ink)
    return charts.svg(figure, 'slots')


def _picture(path: pathlib.Path) -> str:
    try:
        with Image.open(path) as file:
            return pictures.data_uri(np.asarray(file.convert('RGB')))
    except OSError as error:
        raise errors.InputError(
            f'{path} cannot be read ({error}); evaluate again with `panpipe train --mode eval`, or leave '
            '--slots out'
        ) from error
