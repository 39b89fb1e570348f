# SPDX-License-Identifier: Apache-2.0
"""Ground truth in the COCO form, made from the labels of a layout that has no such files."""

import dataclasses
import pathlib

import numpy as np

from panpipe.model import datasets, errors, labels
from panpipe.model.metrics import masks
from panpipe.pipelines import sources
from panpipe.pipelines.formats import coco, png, segments
from panpipe.pipelines.scoring import panoptic_files
from panpipe.pipelines.sources import documents


def make(
    root: pathlib.Path, split: str, spec: datasets.DatasetSpec, folder: pathlib.Path
) -> panoptic_files.Panoptic:
    """Reads the labels of a split and writes them as panoptic PNGs.

    Args:
      root: of the raw data set.
      split: for example 'val'.
      spec: names the module that reads it.
      folder: of the PNGs, which is made.

    Raises:
      errors.InputError: there is no such data set, or a label is damaged.
    """
    annotations, pictures = [], {}
    for entry in sources.module(spec).list_images(root, split, spec):
        image_id = coco.image_id(entry.image_id) if entry.official_id is None else entry.official_id
        if entry.label is None:
            raise errors.InputError(f'{entry.path} has no label in the split {split}; choose another --split')
        file_name = f'{entry.image_id}.png'
        pictures[image_id] = documents.Picture(file_name)
        colors, found = encode(entry.label.read().panoptic, spec)
        png.save(str(folder / file_name), colors)
        annotations.append(documents.Annotation(image_id, file_name, found))
    categories = {
        one.official_id: documents.Category(one.official_id, one.name, one.is_thing)
        for one in spec.categories
    }
    document = documents.Document(str(root), tuple(annotations), pictures, categories)
    return panoptic_files.open_files(document, str(folder), spec)


def encode(panoptic: np.ndarray, spec: datasets.DatasetSpec) -> tuple[np.ndarray, tuple[labels.Segment, ...]]:
    """Turns a panoptic map into official form, as `segments.encode`; crowds are marked as such."""
    extents, codec = masks.extents(panoptic), spec.labels
    colors, found = segments.encode(panoptic, spec, extents)
    ids = [i for i in extents if i // codec.label_divisor != codec.ignore_label]
    crowds = [i % codec.label_divisor == 0 and i // codec.label_divisor in codec.thing_ids for i in ids]
    return colors, tuple(
        dataclasses.replace(segment, is_crowd=is_crowd)
        for segment, is_crowd in zip(found, crowds, strict=True)
    )
