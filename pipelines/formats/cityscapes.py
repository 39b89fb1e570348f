# SPDX-License-Identifier: Apache-2.0
"""Predictions as files for cityscapesScripts: panoptic PNGs and annotations, label-id PNGs, instance masks.

evalPanopticSemanticLabeling takes `panoptic.json` with `panoptic/`. evalPixelLevelSemanticLabeling searches
$CITYSCAPES_RESULTS for `{city}_{sequence}_{frame}*.png`: point it to `semantic/`.
evalInstanceLevelSemanticLabeling searches it for `{city}_{sequence}_{frame}*.txt`: point it to `instance/`,
where each line of a text file names the PNG of a mask, a label id and a score.

Source of the archives: https://www.cityscapes-dataset.com/submit/
"""

import functools
import hashlib
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from panpipe.model import datasets
from panpipe.model.metrics import masks
from panpipe.model.storage import addresses, files
from panpipe.pipelines.formats import layout, members, png, segments
from panpipe.pipelines.formats import maps as formats_maps
from panpipe.pipelines.sources import images

FOLDERS = (layout.PANOPTIC, layout.SEMANTIC, layout.INSTANCE)
PIXELS = (layout.SEMANTIC,)
ALLOWS_NUMBERS = False  # as ids of images, whatever these are called
UNJUDGED = frozenset(range(34))  # classes that its evaluator knows, judged or not
_LONGEST = 200  # characters of the names of masks, which file systems limit to 255 bytes


def image_id(name: str) -> str | int:
    """Returns the official id of an image by its name without folder and extension.

    >>> image_id('bonn_000001_000019_leftImg8bit')
    'bonn_000001_000019'
    """
    return name.removesuffix('_leftImg8bit')


def key(annotation: Mapping[str, Any]) -> str:
    """Returns the image that an annotation is about, as the evaluator joins them: by `image_id`."""
    return str(annotation['image_id'])


def write(folder: str, maps: formats_maps.Maps, spec: datasets.DatasetSpec) -> formats_maps.Note:
    """Writes the files of one image, and notes what `panoptic.json` is to say of it.

    Args:
      folder: where the FOLDERS are; of a semantic-only model, the PIXELS.
      maps: what the model says.
      spec: knows the official class ids.
    """
    file_name = f'{image_id(maps.name)}.png'
    semantic = addresses.join(folder, layout.SEMANTIC, file_name)
    if maps.scores is None:
        png.save(semantic, segments.official(maps.semantic, spec))
        return formats_maps.Note(maps.name, None, [])
    extents = masks.extents(maps.panoptic)
    colors, found = segments.encode(maps.panoptic, spec, extents)
    tasks = [
        lambda: png.save(addresses.join(folder, layout.PANOPTIC, file_name), colors),
        lambda: png.save(semantic, segments.official(maps.semantic, spec)),
    ]
    png.side_by_side(tasks + _instances(addresses.join(folder, layout.INSTANCE), maps, extents, spec))
    return formats_maps.Note(maps.name, segments.annotation(image_id(maps.name), file_name, found), [])


def documents(notes: formats_maps.Notes, spec: datasets.DatasetSpec) -> dict[str, Iterator[str]]:
    """Makes the text of the JSON files over all images, part by part, by file name."""
    if not formats_maps.has_panoptic(notes):
        return {}
    return {layout.DOCUMENT: segments.document(formats_maps.annotations(notes), spec)}


def read_things(folder: str, name: str, image_id: str | int) -> Iterator[tuple[np.ndarray, float]]:
    """Reads the things of an image back: mask, bool [height, width], and score; none without a text file.

    Args:
      folder: of the predictions.
      name: of the image; its `image_id` is not needed here.
      image_id: its official id.
    """
    del image_id
    text = addresses.join(folder, layout.INSTANCE, f'{name}.txt')
    if not files.exists(text):
        return
    for line in files.read(text).decode().splitlines():
        path, _, score = line.rsplit(' ', 2)
        place = addresses.join(folder, layout.INSTANCE, path)
        yield images.pixels(files.read(place), ('1', 'L'), place) > 0, float(score)


def archives(root: str, split: str, algorithm: str) -> dict[str, members.Members]:
    """Lists the archives that the test server takes, one a benchmark, by name; an empty one is not wanted."""
    del split, algorithm  # are no part of their names
    return {
        'pixel.zip': members.below(root, layout.SEMANTIC),
        'instance.zip': members.below(root, layout.INSTANCE),
        'panoptic.zip': members.panoptic(root, layout.PANOPTIC),
    }


def _instances(
    folder: str, maps: formats_maps.Maps, extents: Mapping[int, masks.Extent], spec: datasets.DatasetSpec
) -> list[Callable[[], None]]:
    """Lists the tasks of writing the masks, and the file that names them."""
    name = image_id(maps.name)
    tasks, lines = [], []
    for number, (panoptic_id, score) in enumerate(formats_maps.things(maps, extents)):
        path = f'{layout.MASKS}/{mask_name(str(name))}_{number:03d}.png'
        place = addresses.join(folder, path)
        tasks.append(functools.partial(_write_mask, place, maps.panoptic, panoptic_id, extents[panoptic_id]))
        category = spec.by_id[panoptic_id // spec.labels.label_divisor]
        lines.append(f'{path} {category.official_id} {score:.9g}\n')
    text = addresses.join(folder, f'{name}.txt')
    return [*tasks, functools.partial(files.write_whole, text, ''.join(lines).encode())]


def mask_name(name: str) -> str:
    """Returns a name for the masks of an image that its text file can hold: fields end at spaces.

    Names that have to change end in a digest, so that no two become one.

    >>> mask_name('bonn_000001_000019'), mask_name('new town_000000_000019')
    ('bonn_000001_000019', 'new_town_000000_000019-4dfaf282')
    """
    safe = re.sub(r'[^A-Za-z0-9._-]', '_', name)[:_LONGEST]
    return safe if safe == name else f'{safe}-{hashlib.sha256(name.encode()).hexdigest()[:8]}'


def _write_mask(path: str, panoptic: np.ndarray, panoptic_id: int, extent: masks.Extent) -> None:
    rows, columns = slice(extent.top, extent.bottom), slice(extent.left, extent.right)
    inside = panoptic[rows, columns] == panoptic_id
    files.write_whole(path, png.encode_within(inside, panoptic.shape, (extent.top, extent.left)))
