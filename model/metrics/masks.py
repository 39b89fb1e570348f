# SPDX-License-Identifier: Apache-2.0
"""Where the segments of a map are, found in one pass: areas, boxes, and masks as pycocotools takes them."""

from collections.abc import Collection
from typing import NamedTuple, TypedDict

import numpy as np
from pycocotools import mask as coco_mask


class Rle(TypedDict):
    """Holds a mask as pycocotools codes it: [height, width], and compressed run lengths, down the columns."""

    size: list[int]
    counts: bytes


class Extent(NamedTuple):
    """Tells how large a segment is, and between which rows and columns it lies; ends are not included."""

    area: int
    top: int
    left: int
    bottom: int
    right: int


def extents(ids: np.ndarray) -> dict[int, Extent]:
    """Finds the extents of the distinct ids of a map, ascending.

    >>> extents(np.array([[7, 0], [7, 7]]))
    {0: Extent(area=1, top=0, left=1, bottom=1, right=2), 7: Extent(area=3, top=0, left=0, bottom=2, right=2)}

    Args:
      ids: integer [height, width].
    """
    if not ids.size:
        return {}
    is_start = np.ones(ids.shape, bool)  # of a run of equal pixels, which ends at the end of its row
    is_start[:, 1:] = ids[:, 1:] != ids[:, :-1]
    starts = np.flatnonzero(is_start)
    lengths = np.diff(starts, append=ids.size)
    found, numbers = np.unique(ids.ravel()[starts], return_inverse=True)
    order = np.argsort(numbers, kind='stable')
    first = np.searchsorted(numbers[order], np.arange(len(found)))
    rows, columns = np.divmod(starts[order], ids.shape[1])
    ends = columns + lengths[order]
    figures = (
        np.add.reduceat(lengths[order], first),
        np.minimum.reduceat(rows, first),
        np.minimum.reduceat(columns, first),
        np.maximum.reduceat(rows, first) + 1,
        np.maximum.reduceat(ends, first),
    )
    return dict(zip(found.tolist(), map(Extent, *(each.tolist() for each in figures)), strict=True))


def present(ids: np.ndarray) -> list[int]:
    """Lists the distinct ids of a map, ascending.

    >>> present(np.array([[7, 0], [7, 7]]))
    [0, 7]
    """
    flat = ids.ravel()
    # Where a run begins, which is at a hundredth of all pixels.
    found: list[int] = np.unique(np.append(flat[:1], flat[1:][flat[1:] != flat[:-1]])).tolist()
    return found


def encode(ids: np.ndarray, wanted: Collection[int]) -> dict[int, Rle]:
    """Codes the mask of each wanted id; one that has no pixel is left out.

    The masks are never laid out: a map has a hundred times fewer runs than pixels.

    >>> encode(np.array([[7, 0], [7, 7]]), [7])
    {7: {'size': [2, 2], 'counts': b'021O'}}

    Args:
      ids: integer [height, width].
      wanted: ids.
    """
    if not ids.size:
        return {}
    starts, values = _runs(ids)
    ends = np.append(starts[1:], ids.size)
    # Runs of one id after another, each id's in the order of its pixels.
    chosen = np.flatnonzero(np.isin(values, list(wanted)))
    chosen = chosen[np.argsort(values[chosen], kind='stable')]
    if not chosen.size:
        return {}
    found, first = np.unique(values[chosen], return_index=True)
    return {
        int(value): _coded(starts[runs], ends[runs], ids.shape)
        for value, runs in zip(found, np.split(chosen, first[1:]), strict=True)
    }


def _runs(ids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Finds runs of equal pixels down the columns: where each begins, counted in that order, and its id."""
    height = ids.shape[0]
    # Row by row, as pixels lie in memory; the few places found are sorted then.
    below, column = np.nonzero(ids[1:] != ids[:-1])
    heads = np.flatnonzero(np.append(True, ids[0, 1:] != ids[-1, :-1]))
    starts = np.sort(np.concatenate([column * height + below + 1, heads * height]))
    return starts, ids[starts % height, starts // height]


def _coded(starts: np.ndarray, ends: np.ndarray, shape: tuple[int, ...]) -> Rle:
    borders = np.stack([starts, ends], axis=1).ravel()
    lengths = np.diff(borders, prepend=0)
    rest = shape[0] * shape[1] - int(ends[-1])
    counts = [*lengths.tolist(), *([rest] if rest else [])]
    coded: Rle = coco_mask.frPyObjects({'size': list(shape), 'counts': counts}, *shape)
    return coded
