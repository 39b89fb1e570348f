# SPDX-License-Identifier: Apache-2.0
"""What may be wrong with the PNGs of a prediction folder, and with the files in it."""

import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from PIL import Image

from panpipe.model import datasets, errors, image_files
from panpipe.model.metrics import masks
from panpipe.pipelines.faults import fault, panoptic_json
from panpipe.pipelines.formats import layout, registry, segments

# Bits a channel stand in byte 24 of every PNG: Pillow would cut 16 down to 8 without a word.
_DEPTH = 24
_VOID_TRAIN_ID = 255
_ARCHIVES = f'{layout.ARCHIVES}{os.sep}'
Size = tuple[int, int]


def decode(path: str, where: str, modes: Sequence[str]) -> tuple[np.ndarray | None, list[fault.Fault]]:
    """Reads a PNG of one of `modes`: [height, width, 3] of 'RGB', else [height, width]; or says why not."""
    image, found = load(path, where)
    if image is None:
        return None, found
    if image.format != 'PNG':
        cure = 'save it as PNG: others lose ids'
        return None, [fault.Fault(where, f'is a {image.format} file', cure)]
    depth = _depth(path)
    if image.mode not in modes or depth != (16 if image.mode[0] == 'I' else 8):
        what = f'has pixels of mode {image.mode}, {depth} bits a channel'
        return None, [fault.Fault(where, what, f'save it in mode {modes[0]}, 8 bits a channel')]
    return np.array(image), []


def load(path: str, where: str) -> tuple[Image.Image | None, list[fault.Fault]]:
    """Decodes an image file of any mode, or says why not."""
    if not os.path.exists(path):
        return None, [fault.Fault(where, 'is missing', 'predict the image again')]
    try:
        with image_files.told(where), open(path, 'rb') as file:
            image = image_files.opened(file.read(), where)
            image.load()
    except image_files.Damaged as error:
        return None, [fault.Fault(where, error.what, 'it is damaged or cut short; predict the image again')]
    except errors.FileError as error:  # it is too large
        return None, [fault.Fault(where, error.what, error.cure)]
    return image, []


def _depth(path: str) -> int:
    """Reads the bits a channel of a PNG."""
    with open(path, 'rb') as file:
        return file.read(_DEPTH + 1)[_DEPTH]


def size(shape: Size, expected: Size | None, where: str) -> list[fault.Fault]:
    """Checks a size, (height, width), against the image's."""
    if expected in (None, shape):
        return []
    return [
        fault.Fault(
            where, f'is {shape}, its image {expected} (height, width)', 'resize to the image, nearest'
        )
    ]


def panoptic(path: str, where: str, entry: Mapping[str, Any], expected: Size | None) -> list[fault.Fault]:
    """Checks the PNG of one image against the image's size and its entry in the JSON file."""
    colors, found = decode(path, where, ('RGB',))
    if colors is None:
        return found
    found += size(colors.shape[:2], expected, where)
    return found + panoptic_json.areas(count(segments.ids(colors)), entry, where)


def count(ids: np.ndarray) -> dict[int, int]:
    """Counts pixels by id, ascending."""
    flat = ids.ravel()
    # Maps are piecewise constant: sorting runs is much faster than sorting pixels.
    starts = np.flatnonzero(np.concatenate([[True], flat[1:] != flat[:-1]]))
    distinct, index = np.unique(flat[starts], return_inverse=True)
    numbers = np.bincount(index, np.diff(starts, append=flat.size)).astype(int)
    return dict(zip(distinct.tolist(), numbers.tolist(), strict=True))


def semantic(
    path: str, where: str, expected: Size | None, spec: datasets.DatasetSpec
) -> tuple[set[int], list[fault.Fault]]:
    """Checks the label-id PNG of one image, and returns the ids that it holds."""
    pixels, found = decode(path, where, ('L',) if segments.fits_byte(spec) else segments.CLASS_MODES)
    if pixels is None:
        return set(), found
    return set(masks.present(pixels)), found + size(pixels.shape[:2], expected, where)


def label_ids(by_file: Mapping[str, set[int]], spec: datasets.DatasetSpec) -> list[fault.Fault]:
    """Checks the ids of all label-id PNGs; taken together they show whether they are train ids.

    Args:
      by_file: ids by the path of the PNG.
      spec: the data set.
    """
    used = set[int]().union(*by_file.values())
    train_ids = {*spec.by_id, _VOID_TRAIN_ID}
    if used <= train_ids and not used <= {*spec.from_official, spec.official_void}:
        what = f'all ids are of {sorted(used)[:8]} …: these look like train ids'
        first, last = spec.categories[0], spec.categories[-1]
        cure = f'write label ids ({first.official_id} {first.name} … {last.official_id} {last.name})'
        return [fault.Fault(layout.SEMANTIC, what, cure)]
    known = {*spec.from_official, spec.official_void, *registry.FORMATS[spec.format].UNJUDGED}
    cure = f'the evaluator knows {min(known)} .. {max(known)}'
    return [
        fault.Fault(where, f'has the label id {min(ids - known)}', cure)
        for where, ids in by_file.items()
        if not ids <= known
    ]


def strangers(folder: str, wanted: Collection[str]) -> list[fault.Fault]:
    """Lists files of a folder that belong to no prediction; paths are relative to the folder."""
    there: Iterable[str] = (
        os.path.relpath(os.path.join(place, name), folder)
        for place, _, names in os.walk(folder)
        for name in names
    )
    return [
        fault.Fault(path, 'is the file of no prediction', 'remove it, or list it in panoptic.json')
        for path in sorted(there)
        if path not in wanted and not path.startswith(_ARCHIVES)
    ]
