# SPDX-License-Identifier: Apache-2.0
"""How sure a model was of the things of one image, read back from its instance files."""

import functools
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from apache_beam.io import filesystems
from pycocotools import mask as coco_mask

from panpipe.model import errors
from panpipe.pipelines import files
from panpipe.pipelines.faults import instance_files
from panpipe.pipelines.formats import registry
from panpipe.pipelines.predictions import prediction_files
from panpipe.pipelines.sources import images


def read(found: prediction_files.Predictions, name: str, panoptic: np.ndarray) -> dict[int, float]:
    """Returns the score of each thing of a panoptic map, int32 [height, width], by its id.

    A thing that the instance files do not list has none, and nothing has where there are no such files.

    Args:
      found: the folder.
      name: of the image, as `found.names` has it.
      panoptic: from `found.panoptic(name)`.

    Raises:
      errors.InputError: the instance files are damaged.
    """
    form = registry.of(found.spec)
    listed = _cityscapes if form == 'cityscapes' else _coco
    scores: dict[int, float] = {}
    try:
        for mask, score in listed(found, name):
            ids, counts = np.unique(panoptic[mask], return_counts=True)
            if len(ids):
                scores[int(ids[counts.argmax()])] = score
    except errors.InputError:
        raise
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise errors.InputError(
            f'the instance files of {name} in {found.folder} are damaged ({error}); run `panpipe validate`'
        ) from error
    return scores


def _cityscapes(found: prediction_files.Predictions, name: str) -> Iterator[tuple[np.ndarray, float]]:
    text = files.join(found.folder, instance_files.FOLDER, f'{name}.txt')
    if not files.exists(text):
        return
    for line in files.read(text).decode().splitlines():
        path, _, score = line.rsplit(' ', 2)
        place = files.join(found.folder, instance_files.FOLDER, path)
        yield images.pixels(files.read(place), ('1', 'L'), place) > 0, float(score)


def _coco(found: prediction_files.Predictions, name: str) -> Iterator[tuple[np.ndarray, float]]:
    path = files.join(found.folder, instance_files.DOCUMENT)
    if not files.exists(path):
        return
    state = filesystems.FileSystems.last_updated(path), filesystems.FileSystems.checksum(path)
    annotation = found.annotations[name]
    for entry in _detections(path, state).get(annotation.image_id if annotation else name, ()):
        yield coco_mask.decode(entry['segmentation']).astype(bool), float(entry['score'])


@functools.lru_cache(maxsize=1)
def _detections(path: str, state: tuple[float, str]) -> Mapping[Any, Sequence[Mapping[str, Any]]]:
    """Reads the detections by image, once for all images; `state` tells a file that was written anew."""
    del state
    found: dict[Any, list[Mapping[str, Any]]] = {}
    for entry in json.loads(files.read(path)):
        found.setdefault(entry['image_id'], []).append(entry)
    return found
