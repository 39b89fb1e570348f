# SPDX-License-Identifier: Apache-2.0
"""Keys of pictures: the classes and segments to be seen, and what the colours of targets mean."""

import collections
from collections.abc import Mapping

import numpy as np

from panpipe.model import datasets
from panpipe.model.drawing import error_maps, flow, panels, pictures, sheet

_MOST_SEGMENTS = 60  # more make a key longer than the pictures


def classes(panoptic: np.ndarray, spec: datasets.DatasetSpec) -> sheet.Key:
    """Lists the classes of a panoptic map, int32 [height, width], the largest first, with their instances."""
    area, instances, crowds = (collections.Counter[int]() for _ in range(3))
    for number, pixels in zip(*np.unique(panoptic, return_counts=True), strict=True):
        semantic, instance = spec.labels.decode(int(number))
        area[semantic] += int(pixels)
        if semantic in spec.labels.thing_ids:
            instances[semantic] += instance > 0
            crowds[semantic] += instance == 0
    entries = []
    for semantic, pixels in area.most_common():
        category = spec.by_id.get(semantic)
        notes = [f'{_percent(pixels / panoptic.size)}']
        notes += [f'{instances[semantic]} instances'] if instances[semantic] > 1 else []
        notes += ['1 instance'] if instances[semantic] == 1 else []
        notes += ['a crowd'] if crowds[semantic] else []
        name = (
            category.name if category else 'void' if semantic == spec.labels.ignore_label else f'{semantic}?'
        )
        entries.append(sheet.Entry(_color(semantic, spec), name, ', '.join(notes)))
    return sheet.Key('Classes', entries)


def segments(panoptic: np.ndarray, scores: Mapping[int, float], spec: datasets.DatasetSpec) -> sheet.Key:
    """Lists the things of a predicted panoptic map, int32 [height, width], the surest first.

    Args:
      panoptic: ids of `spec.labels`.
      scores: 0 .. 1, by panoptic id; things without one come last.
      spec: names of classes.
    """
    found = {int(i): int(n) for i, n in zip(*np.unique(panoptic, return_counts=True), strict=True)}
    things = [i for i in found if spec.labels.decode(i)[0] in spec.labels.thing_ids]
    things.sort(key=lambda i: (-scores.get(i, -1.0), -found[i]))
    entries = []
    for number in things[:_MOST_SEGMENTS]:
        semantic, instance = spec.labels.decode(number)
        color = pictures.segment_colors(np.array([[number]]), spec)[0, 0]
        score = f'score {scores[number]:.2f}, ' if number in scores else ''
        name = f'{spec.by_id[semantic].name} {instance}'
        entries.append(sheet.Entry(_rgb(color), name, f'{score}{_percent(found[number] / panoptic.size)}'))
    more = len(things) - len(entries)
    heading = f'Things: {len(things)}' + (f', of which {more} are not listed' if more else '')
    return sheet.Key(heading, entries)


def targets() -> sheet.Key:
    """Explains the pictures of targets."""
    strength = np.tile(np.linspace(0, 1, 110, dtype=np.float32), (20, 1))
    wheel = flow.disk(76, sheet.PAPER)
    ground = np.full((25, 25, 3), 70, np.uint8)
    dot = panels.dots(ground, np.array([[12, 12]]), (1.0, 1.0))
    return sheet.Key(
        'Targets',
        [
            sheet.Entry(panels.heat_colors(strength).astype(np.uint8), 'heat of a center', '0 to 1'),
            sheet.Entry(dot, 'center of an instance'),
            sheet.Entry(
                wheel,
                'offset to the center',
                "its direction: as from the wheel's middle; full colour: the longest of the picture",
            ),
        ],
    )


def uses() -> sheet.Key:
    """Explains the pictures of where the losses look."""
    return sheet.Key(
        'Where the losses look',
        [sheet.Entry(_rgb(panels.USE_COLORS[use]), name) for use, name in panels.USE_NAMES.items()],
    )


def errors() -> sheet.Key:
    """Explains the pictures of errors."""
    return sheet.Key(
        'Errors',
        [sheet.Entry(_rgb(error_maps.COLORS[error]), name) for error, name in error_maps.NAMES.items()],
    )


def _percent(share: float) -> str:
    return f'{100 * share:.1f} %'


def _color(semantic: int, spec: datasets.DatasetSpec) -> tuple[int, int, int]:
    return _rgb(pictures.class_colors(np.array([semantic]), spec)[0])


def _rgb(color: np.ndarray) -> tuple[int, int, int]:
    return int(color[0]), int(color[1]), int(color[2])
