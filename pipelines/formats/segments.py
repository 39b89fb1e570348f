# SPDX-License-Identifier: Apache-2.0
"""Panoptic maps as COCO panoptic PNGs with lists of segments, there and back.

Source: https://cocodataset.org/#format-data, section 4 (panoptic segmentation).
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from panpipe.model import datasets, labels
from panpipe.model.metrics import masks

# Odd, so that multiplying by it modulo 2^24 gives every segment a colour of its own; these lie far apart.
_COLOR_STEP = 0x9E3779
# Pillow's modes of what `official` makes, 8 bits and 16.
CLASS_MODES = ('L', 'I;16', 'I')
_ROWS = 32  # are looked up at once


def encode(
    panoptic: np.ndarray, spec: datasets.DatasetSpec, extents: Mapping[int, masks.Extent] | None = None
) -> tuple[np.ndarray, tuple[labels.Segment, ...]]:
    """Turns a panoptic map into official form.

    Args:
      panoptic: int32 [height, width], ids of `spec.labels`; void pixels belong to no segment.
      spec: knows the official class ids.
      extents: those of the map, where they are known already.

    Returns:
      uint8 [height, width, 3], RGB, black where void, and the segments, ascending by panoptic id.

    Raises:
      ValueError: an id is of no class of the data set, and not void.
    """
    extents = masks.extents(panoptic) if extents is None else extents
    present = np.fromiter(extents, int, len(extents))
    classes = present // spec.labels.label_divisor
    is_segment = classes != spec.labels.ignore_label
    wrong = [int(i) for i in classes[is_segment] if int(i) not in spec.by_id]
    if wrong:
        raise ValueError(f'class {wrong[0]} is not one of {spec.name}')
    colors = np.zeros(present.max(initial=0) + 1, np.uint32)
    colors[present[is_segment]] = np.arange(1, is_segment.sum() + 1) * _COLOR_STEP % 2**24
    found = tuple(
        labels.Segment(int(colors[i]), spec.by_id[int(c)].official_id, extents[int(i)].area)
        for i, c in zip(present[is_segment], classes[is_segment], strict=True)
    )
    return color(_look_up(colors, panoptic)), found


def official(semantic: np.ndarray, spec: datasets.DatasetSpec) -> np.ndarray:
    """Turns class ids into official ids, both integer [height, width]; the result is uint8 if they fit."""
    dtype = np.uint8 if fits_byte(spec) else np.uint16
    return _look_up(spec.to_official().astype(dtype), semantic)


def fits_byte(spec: datasets.DatasetSpec) -> bool:
    """Returns whether all official ids are below 256."""
    return bool(spec.to_official().max() < 256)


def _look_up(table: np.ndarray, ids: np.ndarray) -> np.ndarray:
    """Looks ids [height, width] up in a table, row by row: NumPy copies what it looks up to 64 bits first."""
    found = np.empty(ids.shape, table.dtype)
    for y in range(0, len(ids), _ROWS):
        # Indices are right, and with 'raise' NumPy would hold back the result until it has seen them all.
        np.take(table, ids[y : y + _ROWS], out=found[y : y + _ROWS], mode='clip')
    return found


def color(ids: np.ndarray) -> np.ndarray:
    """Writes segment ids, integer [height, width], as uint8 [height, width, 3]: R + 256 G + 65536 B."""
    return np.ascontiguousarray(ids, '<u4').view(np.uint8).reshape(*ids.shape, 4)[..., :3]


def ids(colors: np.ndarray) -> np.ndarray:
    """Reads segment ids, int32 [height, width], from uint8 [height, width, 3]."""
    channels = colors.astype(np.int32)
    return channels[..., 0] + 256 * channels[..., 1] + 65536 * channels[..., 2]


def classes(
    colors: np.ndarray, found: Sequence[Mapping[str, Any]], class_of: Mapping[int, int], void: int
) -> np.ndarray:
    """Reads the class of every pixel from official form.

    Args:
      colors: uint8 [height, width, 3], RGB.
      found: the annotation's `segments_info`.
      class_of: the wanted number by `category_id`.
      void: the number of pixels in no segment.

    Returns:
      int32 [height, width].
    """
    numbers = {0: void, **{segment['id']: class_of[segment['category_id']] for segment in found}}
    index, is_known = find(ids(colors), list(numbers))
    return np.where(is_known, np.array(list(numbers.values()), np.int32)[index], np.int32(void))


def find(pixels: np.ndarray, known: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
    """Finds each pixel's segment in a list of ids, none empty: its first place there, and whether it has one.

    Sorting a few ids and searching is much faster than sorting pixels, or than a table of all colours.
    """
    values = np.array(known)
    order = np.argsort(values, kind='stable')
    place = np.searchsorted(values[order], pixels)
    index = order[np.minimum(place, len(values) - 1)]
    return index, values[index] == pixels


def annotation(image_id: str | int, file_name: str, found: Sequence[labels.Segment]) -> dict[str, Any]:
    """Makes the entry of one image in the JSON file."""
    return {
        'image_id': image_id,
        'file_name': file_name,
        'segments_info': [
            {'id': s.id, 'category_id': s.category_id, 'area': s.area, 'iscrowd': int(s.is_crowd)}
            for s in found
        ],
    }


def document(annotations: Iterable[Mapping[str, Any]], spec: datasets.DatasetSpec) -> Iterator[str]:
    """Makes the text of the JSON file of a whole set of images, part by part: annotations in their order."""
    categories = [
        {'id': c.official_id, 'name': c.name, 'isthing': int(c.is_thing), 'color': list(c.color)}
        for c in spec.categories
    ]
    yield '{"annotations": '
    yield from listed(annotations)
    yield f', "categories": {json.dumps(categories)}}}'


def listed(entries: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """Makes the text of a JSON list, entry by entry."""
    yield '['
    for number, entry in enumerate(entries):
        yield (', ' if number else '') + json.dumps(entry)
    yield ']'
