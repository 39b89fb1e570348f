# SPDX-License-Identifier: Apache-2.0
"""What may be wrong with the instance files of a prediction folder: text files and masks, or a JSON file."""

import json
import math
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from pycocotools import mask as coco_mask

from panpipe.model import datasets
from panpipe.pipelines.faults import fault, pngs
from panpipe.pipelines.formats import layout
from panpipe.pipelines.sources import run_lengths

_DOCUMENT, _FOLDER = layout.INSTANCES, layout.INSTANCE
_PREDICT = 'run `panpipe predict` again'
_RESULTS = 'see https://cocodataset.org/#format-results'
_FIELDS = 3


def text(
    folder: str, name: str, expected: pngs.Size | None, spec: datasets.DatasetSpec
) -> tuple[set[str], list[fault.Fault]]:
    """Checks the text file of one image and the masks that it names, in Cityscapes form.

    Returns:
      Paths of the files, relative to `folder`, and the faults.
    """
    where = os.path.join(_FOLDER, f'{name}.txt')
    try:
        with open(os.path.join(folder, where)) as file:
            lines = file.read().splitlines()
    except (OSError, ValueError) as error:
        return {where}, [fault.Fault(where, f'cannot be read ({error})', _PREDICT)]
    files, found = {where}, list[fault.Fault]()
    taken: np.ndarray | None = None
    for number, line in enumerate(lines, 1):
        place = f'{where}, line {number}'
        fields = line.split(' ')
        if len(fields) != _FIELDS:
            cure = 'write: path of a mask, label id, score, with one space between'
            found.append(fault.Fault(place, f'has {len(fields)} fields', cure))
            continue
        path = os.path.normpath(os.path.join(_FOLDER, fields[0]))
        found += [*_path(fields[0], path, files, place), *_class(fields[1], spec, place)]
        found += _score(fields[2], place)
        mask, wrong = _mask(os.path.join(folder, path), path, expected)
        files.add(path)
        found += wrong
        taken, wrong = _join(taken, mask, path)
        found += wrong
    return files, found


def document(
    folder: str, images: Iterable[str | int], sizes: Mapping[str | int, pngs.Size], spec: Any
) -> list[fault.Fault]:
    """Checks `instances.json` (COCO results).

    Args:
      folder: of the predictions.
      images: official ids of the images in `panoptic.json`.
      sizes: (height, width) of those whose size is known, by official id.
      spec: the data set.
    """
    try:
        with open(os.path.join(folder, _DOCUMENT), 'rb') as file:
            content = json.load(file)
    except (OSError, ValueError, RecursionError) as error:
        return [fault.Fault(_DOCUMENT, f'cannot be read ({error})', _PREDICT)]
    if not isinstance(content, list):
        return [fault.Fault(_DOCUMENT, 'is not a list of detections', _RESULTS)]
    known, found = set(images), list[fault.Fault]()
    by_image: dict[str | int, list[tuple[str, Any]]] = {}
    for index, entry in enumerate(content):
        where = f'{_DOCUMENT}[{index}]'
        wrong = list(_entry(entry, where, known, spec))
        found += wrong
        if not wrong:
            by_image.setdefault(entry['image_id'], []).append((where, entry['segmentation']))
    return found + [fault for i, masks in by_image.items() for fault in _masks(masks, sizes.get(i))]


def _entry(
    entry: Any, where: str, images: set[str | int], spec: datasets.DatasetSpec
) -> Iterator[fault.Fault]:
    if not isinstance(entry, dict) or not {'image_id', 'category_id', 'segmentation', 'score'} <= set(entry):
        cure = f'write image_id, category_id, segmentation and score; {_RESULTS}'
        yield fault.Fault(where, 'lacks a field', cure)
        return
    if type(entry['image_id']) not in (str, int) or entry['image_id'] not in images:
        yield fault.Fault(
            where, f'is of the image {entry["image_id"]!r}, which {layout.DOCUMENT} lacks', 'use its ids'
        )
    if 'bbox' in entry:
        yield fault.Fault(where, 'has a bbox', 'leave it out: pycocotools would judge the box, not the mask')
    # Numbers in quotes are none, and neither is true.
    yield from _class(entry['category_id'], spec, where, (int,))
    yield from _score(entry['score'], where, (int, float))


def _masks(encoded: Sequence[tuple[str, Any]], expected: pngs.Size | None) -> Iterator[fault.Fault]:
    taken: np.ndarray | None = None
    for where, segmentation in encoded:
        rle = run_lengths.detected(segmentation)
        if rle is None:
            yield fault.Fault(where, 'has no run-length encoded mask', _RESULTS)
            continue
        mask = coco_mask.decode(rle).astype(bool)
        wrong = pngs.size(mask.shape, expected, where)
        yield from wrong
        taken, wrong = _join(taken, None if wrong else mask, where)
        yield from wrong


def _path(given: str, path: str, files: set[str], where: str) -> list[fault.Fault]:
    if os.path.isabs(given) or not path.startswith(f'{_FOLDER}{os.sep}'):
        return [fault.Fault(where, f'names {given}, outside {_FOLDER}/', 'name a path relative to the file')]
    if path in files:
        return [fault.Fault(where, f'names {given} again', 'write a mask for each instance')]
    return []


def _class(
    given: Any, spec: datasets.DatasetSpec, where: str, kinds: tuple[type, ...] = (str,)
) -> list[fault.Fault]:
    try:
        category = spec.from_official.get(int(given)) if type(given) in kinds else None
    except ValueError:
        category = None
    if category is None:
        return [fault.Fault(where, f'has the class {given!r}, which {spec.name} lacks', 'write official ids')]
    if not category.is_thing:
        return [fault.Fault(where, f'has the class {category.name}, which is stuff', 'write things alone')]
    return []


def _score(given: Any, where: str, kinds: tuple[type, ...] = (str,)) -> list[fault.Fault]:
    try:
        score = float(given) if type(given) in kinds else math.nan
    except (ValueError, OverflowError):
        score = math.nan
    if 0 <= score <= 1:
        return []
    return [fault.Fault(where, f'has the score {given!r}', 'write a number from 0 to 1')]


def _mask(path: str, where: str, expected: pngs.Size | None) -> tuple[np.ndarray | None, list[fault.Fault]]:
    image, unread = pngs.load(path, where)
    if image is None:
        return None, unread
    mask = np.array(image.convert('L')) != 0  # as the evaluator reads it
    wrong = pngs.size(mask.shape, expected, where)
    return (None, wrong) if wrong else (mask, [])


def _join(
    taken: np.ndarray | None, mask: np.ndarray | None, where: str
) -> tuple[np.ndarray | None, list[fault.Fault]]:
    """Adds a mask to the pixels taken so far, none of which may be its own."""
    if mask is None:
        return taken, []
    if not mask.any():
        return taken, [fault.Fault(where, 'has no pixel', 'leave the instance out')]
    if taken is None or taken.shape != mask.shape:
        return mask.copy(), []
    both = int((taken & mask).sum())
    wrong = [fault.Fault(where, f'shares {both} pixels with other masks', 'give each pixel to one instance')]
    return taken | mask, wrong if both else []
