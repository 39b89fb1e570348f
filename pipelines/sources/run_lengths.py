# SPDX-License-Identifier: Apache-2.0
"""Masks of JSON files, as polygons or run lengths, for pycocotools, which itself trusts what it is given.

Source: cocoapi, common/maskApi.c: rleFrString, rleFrPoly.
"""

from typing import Any

import numpy as np
from pycocotools import mask as coco_mask

from panpipe.model.metrics import masks

_LEAST = 6  # numbers of a polygon; pycocotools takes four for a box
_FAR = 2**20  # pixels from the image's corner: so far outlines may reach out of it
_BITS, _MORE, _SIGN, _FIRST = 5, 32, 16, 48  # of a character that codes a part of a run length


def read(given: Any, height: int, width: int) -> masks.Rle | None:
    """Codes a mask by run lengths; returns None where `given` is no mask of an image of that size.

    Args:
      given: a list of polygons (x, y, x, y, …), or an object of `size` and `counts`, a list or a text.
      height, width: of the image, pixels.
    """
    if isinstance(given, list):
        is_sound = bool(given) and all(map(_is_polygon, given))
        return coco_mask.merge(coco_mask.frPyObjects(given, height, width)) if is_sound else None
    if not isinstance(given, dict) or given.get('size') != [height, width]:
        return None
    counts = given.get('counts')
    if isinstance(counts, list):
        return _of_list(counts, height, width)
    if isinstance(counts, str) and counts.isascii() and _fits(counts.encode(), height * width):
        return {'size': [height, width], 'counts': counts.encode()}
    return None


def is_empty(given: Any) -> bool:
    """Tells whether an annotation has no mask, as tools export boxes: nothing, or empty polygons."""
    return given is None or (isinstance(given, list) and not any(given))


def detected(given: Any) -> masks.Rle | None:
    """Reads the run-length coded mask of a detection, which tells its own size; None where it is none."""
    size = given.get('size') if isinstance(given, dict) else None
    if not isinstance(size, list) or len(size) != 2 or not all(type(s) is int and 0 < s < _FAR for s in size):
        return None
    return read(given, *size)


def _is_polygon(given: Any) -> bool:
    return (
        isinstance(given, list)
        and len(given) >= _LEAST
        and len(given) % 2 == 0
        and all(type(value) in (int, float) and abs(value) < _FAR for value in given)
    )


def _of_list(counts: list[Any], height: int, width: int) -> masks.Rle | None:
    if all(type(count) is int and count >= 0 for count in counts) and sum(counts) == height * width:
        found: masks.Rle = coco_mask.frPyObjects({'size': [height, width], 'counts': counts}, height, width)
        return found
    return None


def _fits(counts: bytes, pixels: int) -> bool:
    """Tells whether run lengths, coded as text, are none below 0 and add up to a number of pixels.

    A character holds 5 bits, lowest first, and says whether more follow. From the fourth on a run length is
    coded by its difference to the last but one.
    """
    codes = np.frombuffer(counts, np.uint8).astype(np.int64) - _FIRST
    if not codes.size or codes.min() < 0 or codes.max() >= 2 * _MORE or codes[-1] & _MORE:
        return False
    ends = np.flatnonzero(codes & _MORE == 0)
    starts = np.concatenate([[0], ends[:-1] + 1])
    lengths = ends - starts + 1
    if lengths.max() * _BITS > 32:
        return False
    shift = _BITS * (np.arange(codes.size) - np.repeat(starts, lengths))
    values = np.add.reduceat((codes & (_MORE - 1)) << shift, starts)
    values -= np.where(codes[ends] & _SIGN, 1 << (_BITS * lengths), 0)
    runs = values.copy()
    runs[1::2], runs[2::2] = np.cumsum(values[1::2]), np.cumsum(values[2::2])
    return bool(runs.min() >= 0 and runs.sum() == pixels)
