# SPDX-License-Identifier: Apache-2.0
"""Panoptic ground truth of a set of images: read for us, and copied for others.

The official evaluators get copies of ground truth and predictions in the one form that all of them take:
every field there, PNGs in RGB, images numbered where numbers are wanted.
"""

import collections
import dataclasses
import functools
import json
import os
import pathlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from panpipe.model import datasets, errors, image_files, labels
from panpipe.model.storage import files
from panpipe.pipelines.formats import png, segments
from panpipe.pipelines.predictions import prediction_files
from panpipe.pipelines.sources import annotations, documents, entries, images, names

_DIVISOR = 2**20


@dataclasses.dataclass(frozen=True)
class Panoptic:
    """Holds the panoptic ground truth of a set of images.

    Attributes:
      document: the JSON file.
      folder: of its PNGs.
      categories: all known by name and kind, in the order of the file.
      has_areas: areas in the JSON file must be the numbers of pixels.
      are_names_ids: images are named by their ids, as in Cityscapes; else by their files.
    """

    document: documents.Document
    folder: str
    categories: tuple[documents.Category, ...]
    has_areas: bool = True
    are_names_ids: bool = False

    @functools.cached_property
    def by_name(self) -> Mapping[str, documents.Annotation]:
        """The annotations by the names of their images, as records have them."""
        if self.are_names_ids:
            return {names.normal(str(one.image_id)): one for one in self.document.annotations}
        found = annotations.named(self.document)
        return {names.without_ending(name): annotation for name, annotation in found.items()}

    @functools.cached_property
    def classes(self) -> prediction_files.Classes:
        """The classes that predictions may have; their numbers are places among the categories."""
        things = tuple(index for index, category in enumerate(self.categories) if category.is_thing)
        codec = labels.LabelSpec(len(self.categories), things, _DIVISOR, len(self.categories))
        ids = {category.id: index for index, category in enumerate(self.categories)}
        return prediction_files.Classes(
            self.document.path, codec, ids, {one.id: one.name or '' for one in self.categories}
        )

    @property
    def codec(self) -> labels.LabelSpec:
        """What the numbers of maps mean."""
        return self.classes.codec

    @functools.cached_property
    def _pngs(self) -> Mapping[str, str]:
        return annotations.png_paths([one.file_name for one in self.document.annotations], self.folder)

    def png(self, annotation: documents.Annotation) -> str:
        """Returns the path of an image's PNG.

        Raises:
          errors.InputError: it is missing.
        """
        path = self._pngs.get(annotation.file_name)
        if path is None:
            raise annotations.missing_png(self.document, self.folder, annotation.file_name)
        return path

    def read(self, annotation: documents.Annotation) -> entries.Label:
        """Reads an image: ids of `codec`; the segments of a class count from 1, stuff too, crowd is 0.

        Raises:
          errors.InputError: the PNG is missing, damaged, or disagrees with the segments.
        """
        path = self.png(annotation)
        for segment in annotation.segments:
            class_id = self.classes.ids.get(segment.category_id)
            if class_id is None:
                raise errors.InputError(
                    f'{self.document.path}: image {annotation.image_id} has the category '
                    f'{segment.category_id}, which the data set lacks; is it of another --format?'
                )
            if segment.is_crowd and class_id not in self.codec.thing_ids:
                raise errors.InputError(
                    f'{self.document.path}, image {annotation.image_id}: segment {segment.id} is a crowd of '
                    f'category {segment.category_id}, which is stuff; correct the file'
                )
        return entries.PanopticPng(path, annotation.segments, self.classes.numbering, self.has_areas).read()

    def official(self, annotation: documents.Annotation) -> np.ndarray:
        """Reads the category of every pixel, int32 [height, width], -1 in no segment."""
        classes = self.codec.decode(self.read(annotation).panoptic)[0]
        return np.array([*(category.id for category in self.categories), -1], np.int32)[classes]


def export(
    chosen: Iterable[tuple[str, documents.Annotation]],
    categories: Sequence[documents.Category],
    folder: pathlib.Path,
    *,
    numbered: bool,
) -> str:
    """Writes a panoptic JSON file and its PNGs for an official evaluator.

    Args:
      chosen: path of the PNG and annotation of each image, in order.
      categories: of the JSON file.
      folder: of PNGs, to make; the JSON file is beside it.
      numbered: images are called 1, 2, …, which hotcoco wants; else by their ids.

    Returns:
      The path of the JSON file.
    """
    folder.mkdir()
    told = []
    for number, (path, annotation) in enumerate(chosen, 1):
        _copy(path, folder / f'{number}.png')
        listed = _measured(path, annotation.segments)
        entry = segments.annotation(annotation.image_id, f'{number}.png', listed)
        told.append({**entry, 'image_id': number} if numbered else entry)
    content: dict[str, Any] = {
        'images': [{'id': entry['image_id'], 'file_name': entry['file_name']} for entry in told],
        'annotations': told,
        'categories': [
            {'id': one.id, 'name': one.name, 'isthing': int(bool(one.is_thing)), 'color': [0, 0, 0]}
            for one in categories
        ],
    }
    written = f'{folder}.json'
    pathlib.Path(written).write_text(json.dumps(content))
    return written


def open_files(
    document: documents.Document,
    folder: str,
    spec: datasets.DatasetSpec | None,
    *,
    has_areas: bool = True,
    are_names_ids: bool = False,
) -> Panoptic:
    """Takes the files of a ground truth.

    Args:
      document: the JSON file.
      folder: of its PNGs.
      spec: supplies what the file lacks on categories; None if no data set is named.
      has_areas, are_names_ids: as in `Panoptic`.

    Raises:
      errors.InputError: a category has no name, or it is not known whether it is a thing.
    """
    known = spec.from_official if spec else {}
    named = {number: category.name for number, category in known.items()}
    told = f'the data set {spec.name}' if spec else ''
    documents.refuse_renumbered(document, named, told)
    documents.refuse_other_kinds(document, {i: one.is_thing for i, one in known.items()}, told)
    listed = list(document.categories.values()) or [documents.Category(i, None, None) for i in known]
    categories = [_completed(one, known.get(one.id), document.path) for one in listed]
    if not categories:
        raise errors.InputError(
            f'{document.path} lists no categories; fetch the original file again, or name the data set: '
            '--dataset'
        )
    for name, count in collections.Counter(one.name for one in categories).items():
        if count > 1:
            raise errors.InputError(
                f'{document.path} calls {count} categories {name}; give each its own name'
            )
    return Panoptic(document, folder, tuple(categories), has_areas, are_names_ids=are_names_ids)


def _measured(path: str, told: Sequence[labels.Segment]) -> Sequence[labels.Segment]:
    """Returns segments with their areas, counted in the PNG where the JSON file does not state them."""
    if all(segment.area >= 0 for segment in told):
        return told
    ids, counts = np.unique(segments.ids(images.colors(files.read(path), path)), return_counts=True)
    areas = dict(zip(ids.tolist(), counts.tolist(), strict=True))
    return [dataclasses.replace(one, area=areas.get(one.id, 0)) for one in told]


def _completed(told: documents.Category, known: datasets.Category | None, path: str) -> documents.Category:
    """Adds to a category of a file what the data set knows of it."""
    name = told.name if told.name is not None or known is None else known.name
    is_thing = told.is_thing if told.is_thing is not None or known is None else known.is_thing
    for field, value in {'name': name, 'isthing': is_thing}.items():
        if value is None:
            raise errors.InputError(
                f'{path}: category {told.id} has no {field}; add it, or name the data set: --dataset'
            )
    return documents.Category(told.id, name, is_thing)


def _copy(path: str, target: pathlib.Path) -> None:
    """Puts a PNG in RGB at `target`: a link to one that is."""
    if image_files.header(path).mode == 'RGB':
        os.symlink(os.path.abspath(path), target)
    else:
        png.save(str(target), images.colors(files.read(path), path))
