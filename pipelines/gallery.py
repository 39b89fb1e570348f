# SPDX-License-Identifier: Apache-2.0
"""Rows of a gallery: an image, its ground truth and its prediction, side by side."""

import dataclasses
import json
import os
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from panpipe.model import datasets, errors, labels
from panpipe.model.inputs import records
from panpipe.pipelines import pictures, sources
from panpipe.pipelines.formats import registry as formats
from panpipe.pipelines.sources import entries

_WIDTH = 640  # pixels: sharp at a third of a wide page, and still small


@dataclasses.dataclass(frozen=True)
class Row:
    """Holds three pictures as data URIs, and the classes to be seen in the maps."""

    name: str
    image: str
    truth: str
    prediction: str
    classes: frozenset[int]


def rows(
    root: pathlib.Path, split: str, predictions: pathlib.Path, spec: datasets.DatasetSpec, number: int
) -> list[Row]:
    """Makes rows for `number` predictions, evenly spread over the split in the order of image ids.

    Args:
      root: raw data set in its official layout.
      split: for example 'val'.
      predictions: folder with `panoptic.json` and `panoptic/*.png` in the COCO panoptic form.
      spec: the data set.
      number: rows; fewer where there are fewer predictions.

    Raises:
      errors.InputError: there are no predictions, or none is of an image of this split.
    """
    annotations = _annotations(predictions)
    source, official_id = sources.module(spec), formats.FORMATS[formats.of(spec)].image_id
    images = {official_id(entry.image_id): entry for entry in source.list_images(root, split, spec)}
    both = sorted(set(annotations) & set(images))
    if not both:
        raise errors.InputError(
            f'no prediction in {predictions} is of an image of split {split!r} in {root}; check --split'
        )
    places = np.linspace(0, len(both) - 1, min(number, len(both))).round().astype(int)
    return [_row(source.load(images[both[i]]), annotations[both[i]], predictions, spec) for i in places]


def prediction(annotation: Mapping[str, Any], folder: pathlib.Path, spec: datasets.DatasetSpec) -> np.ndarray:
    """Reads a predicted map in official form; its instances are numbered anew: int32 [height, width].

    Args:
      annotation: entry of `annotations` in panoptic.json.
      folder: holds the PNG files.
      spec: the data set; `category_id` is the official evaluator's class id.

    Raises:
      errors.InputError: the PNG cannot be read or disagrees with the JSON, or the data set lacks a class.
    """
    path = os.path.join(folder, annotation['file_name'])
    found = tuple(labels.Segment(s['id'], s['category_id'], s['area']) for s in annotation['segments_info'])
    strange = [s.category_id for s in found if s.category_id not in spec.from_official]
    if strange:
        raise errors.InputError(f'{path}: {spec.name} has no class {strange[0]}; check --dataset')
    return entries.PanopticPng(path, found, entries.official_numbering(spec)).read()


def _annotations(predictions: pathlib.Path) -> dict[str | int, dict[str, Any]]:
    path = predictions / 'panoptic.json'
    try:
        content = json.loads(path.read_text())
        return {entry['image_id']: entry for entry in content['annotations']}
    except OSError as error:
        raise errors.InputError(
            f'cannot read {path}: {error.strerror}; --predictions is the folder that predict wrote'
        ) from error
    except (ValueError, KeyError, TypeError) as error:
        raise errors.InputError(f'{path} is not a panoptic JSON ({error!r}); run predict again') from error


def _row(
    record: records.Record, annotation: Mapping[str, Any], folder: pathlib.Path, spec: datasets.DatasetSpec
) -> Row:
    image = records.decode_image(record.encoded, record.image_id)
    maps: Sequence[np.ndarray] = [
        pictures.fit(panoptic, _WIDTH, is_label=True)
        for panoptic in (record.panoptic, prediction(annotation, folder / 'panoptic', spec))
        if panoptic is not None
    ]
    drawn = [pictures.data_uri(pictures.panoptic_picture(panoptic, spec)) for panoptic in maps]
    seen = frozenset(int(i) for panoptic in maps for i in np.unique(spec.labels.decode(panoptic)[0]))
    photo = pictures.data_uri(pictures.fit(image, _WIDTH, is_label=False))
    return Row(record.image_id, photo, drawn[0], drawn[-1], seen)
