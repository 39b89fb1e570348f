# SPDX-License-Identifier: Apache-2.0
"""Predictions as files for panopticapi and pycocotools.

`panoptic.json` with `panoptic/*.png` is the panoptic form; `instances.json` lists the things with scores, the
masks run-length encoded, as `COCO.loadRes` takes them. A semantic-only model makes
`semantic/*.png` of official class ids instead.

Sources: https://cocodataset.org/#format-results, and of the archives https://cocodataset.org/#upload
"""

import functools
import json
import posixpath
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from pycocotools import mask as coco_mask

from panpipe.model import datasets
from panpipe.model.metrics import masks
from panpipe.model.storage import addresses, files
from panpipe.pipelines.formats import layout, members, png, segments
from panpipe.pipelines.formats import maps as formats_maps

FOLDERS = (layout.PANOPTIC,)
PIXELS = (layout.SEMANTIC,)
ALLOWS_NUMBERS = True  # as ids of images, whatever these are called
UNJUDGED = frozenset[int]()  # classes that its evaluator knows beside those of the data set


def image_id(name: str) -> str | int:
    """Returns the official id of an image by its name without extension, if only that is known.

    >>> image_id('000000000139'), image_id('street')
    (139, 'street')
    """
    return int(name) if name.isdecimal() else name


def key(annotation: Mapping[str, Any]) -> str:
    """Returns the image that an annotation is about, by the name of its PNG without the ending.

    >>> key({'image_id': 139, 'file_name': 'batch/000000000139.png'})
    'batch/000000000139'
    """
    return posixpath.splitext(unicodedata.normalize('NFC', annotation['file_name']))[0]


def write(folder: str, maps: formats_maps.Maps, spec: datasets.DatasetSpec) -> formats_maps.Note:
    """Writes the files of one image, and notes what the JSON files are to say of it.

    Args:
      folder: where the FOLDERS are; of a semantic-only model, the PIXELS.
      maps: what the model says.
      spec: knows the official class ids.
    """
    file_name = f'{maps.name}.png'
    if maps.scores is None:
        png.save(addresses.join(folder, layout.SEMANTIC, file_name), segments.official(maps.semantic, spec))
        return formats_maps.Note(maps.name, None, [])
    colors, found = segments.encode(maps.panoptic, spec)
    png.save(addresses.join(folder, layout.PANOPTIC, file_name), colors)
    annotation = segments.annotation(official_id(maps), file_name, found)
    return formats_maps.Note(maps.name, annotation, instances(maps, spec))


def official_id(maps: formats_maps.Maps) -> str | int:
    """Returns the official id of a predicted image: that of the annotation file where it is known."""
    return image_id(maps.name) if maps.official_id is None else maps.official_id


def instances(maps: formats_maps.Maps, spec: datasets.DatasetSpec) -> list[dict[str, Any]]:
    """Lists the things of an image as pycocotools takes detections, surest first.

    A box is left out on purpose: `COCO.loadRes` would take it, and not the mask, for what was detected.
    """
    scores = maps.scores or {}
    coded = masks.encode(maps.panoptic, scores)
    return [
        {
            'image_id': official_id(maps),
            'category_id': spec.by_id[panoptic_id // spec.labels.label_divisor].official_id,
            'segmentation': {'size': rle['size'], 'counts': rle['counts'].decode()},
            'score': scores[panoptic_id],
        }
        for panoptic_id, rle in sorted(coded.items(), key=lambda pair: (-scores[pair[0]], pair[0]))
    ]


def documents(notes: formats_maps.Notes, spec: datasets.DatasetSpec) -> dict[str, Iterator[str]]:
    """Makes the text of the JSON files over all images, part by part, by file name."""
    if not formats_maps.has_panoptic(notes):
        return {}
    things = (entry for note in notes.by_name() for entry in note.instances)
    annotations = formats_maps.annotations(notes)
    return {layout.DOCUMENT: segments.document(annotations, spec), layout.INSTANCES: segments.listed(things)}


def read_things(folder: str, name: str, image_id: str | int) -> Iterator[tuple[np.ndarray, float]]:
    """Reads the things of an image back: mask, bool [height, width], and score; none without the JSON file.

    Args:
      folder: of the predictions.
      name: of the image; is not needed here.
      image_id: its official id.
    """
    del name
    path = addresses.join(folder, layout.INSTANCES)
    if not files.exists(path):
        return
    for entry in _detections(files.facts(path)).get(image_id, ()):
        yield coco_mask.decode(entry['segmentation']).astype(bool), float(entry['score'])


@functools.lru_cache(maxsize=1)
def _detections(told: files.Facts) -> Mapping[str | int, Sequence[Mapping[str, Any]]]:
    """Reads the detections by image, once for all images, and again when the file was written anew."""
    found: dict[str | int, list[Mapping[str, Any]]] = {}
    for entry in json.loads(files.read(told.path)):
        found.setdefault(entry['image_id'], []).append(entry)
    return found


def archives(root: str, split: str, algorithm: str) -> dict[str, members.Members]:
    """Lists the archives that the test servers take, by name; an empty one is not wanted."""
    panoptic = f'panoptic_{split}_{algorithm}_results'
    detections = f'detections_{split}_{algorithm}_results'
    return {
        f'{panoptic}.zip': members.panoptic(root, panoptic),
        f'{detections}.zip': members.document(root, layout.INSTANCES, detections),
        'semantic.zip': members.below(root, layout.SEMANTIC),
    }
