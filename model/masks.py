# SPDX-License-Identifier: Apache-2.0
"""Run-length coded masks, as pycocotools takes them, of all segments of a map in one pass."""

from collections.abc import Collection
from typing import TypedDict

import numpy as np
from pycocotools import mask as coco_mask


class Rle(TypedDict):
    """Holds a mask as pycocotools codes it: [height, width], and compressed run lengths, down the columns."""

    size: list[int]
    counts: bytes


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
