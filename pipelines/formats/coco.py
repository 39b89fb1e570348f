# SPDX-License-Identifier: Apache-2.0
"""Predictions as files for panopticapi and pycocotools.

`panoptic.json` with `panoptic/*.png` is the panoptic form; `instances.json` lists the things with scores, the
masks run-length encoded, as `COCO.loadRes` takes them. A semantic-only model makes
`semantic/*.png` of official class ids instead.

Source: https://cocodataset.org/#format-results
"""

import posixpath
import unicodedata
from collections.abc import Iterator, Mapping
from typing import Any

from panpipe.model import datasets
from panpipe.model.metrics import masks
from panpipe.model.storage import addresses
from panpipe.pipelines.formats import layout, png, segments
from panpipe.pipelines.formats import maps as formats_maps

FOLDERS = (layout.PANOPTIC,)
PIXELS = (layout.SEMANTIC,)
ALLOWS_NUMBERS = True  # as ids of images, whatever these are called


def image_id(name: str) -> str | int:
    """Returns the official id of an image whose name without extension is all that is known of it.

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
