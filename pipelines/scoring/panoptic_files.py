# SPDX-License-Identifier: Apache-2.0
"""Panoptic files of a set of images, ground truth or predictions: read for us, and copied for others.

The official evaluators get copies in the one form that all of them take: every field there, PNGs in RGB,
images numbered where numbers are wanted.
"""

import collections
import dataclasses
import functools
import json
import os
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from panpipe.model import datasets, errors, image_files, labels
from panpipe.model.storage import files
from panpipe.pipelines.formats import layout, png, segments
from panpipe.pipelines.sources import annotations, documents, entries, images, names

_DIVISOR = 2**20


@dataclasses.dataclass(frozen=True)
class Panoptic:
    """Holds panoptic files of a set of images.

    Attributes:
      document: the JSON file.
      folder: of its PNGs.
      categories: all known by name and kind, in the order of the file.
      has_areas: areas in the JSON file must be the numbers of pixels.
      is_truth: segments may be crowds, and may have no pixel.
      are_names_ids: images are named by their ids, as in Cityscapes; else by their files.
    """

    document: documents.Document
    folder: str
    categories: tuple[documents.Category, ...]
    has_areas: bool = True
    is_truth: bool = True
    are_names_ids: bool = False

    @functools.cached_property
    def by_name(self) -> Mapping[str, documents.Annotation]:
        """The annotations by the names of their images, as records have them."""
        if self.are_names_ids:
            return {names.normal(str(one.image_id)): one for one in self.document.annotations}
        found = annotations.named(self.document)
        return {names.without_ending(name): annotation for name, annotation in found.items()}

    @functools.cached_property
    def codec(self) -> labels.LabelSpec:
        """Numbers of classes: their places among the categories."""
        things = tuple(index for index, category in enumerate(self.categories) if category.is_thing)
        return labels.LabelSpec(len(self.categories), things, _DIVISOR, len(self.categories))

    @functools.cached_property
    def _pngs(self) -> Mapping[str, str]:
        return annotations.png_paths(self.document, self.folder)

    @functools.cached_property
    def _numbering(self) -> entries.Numbering:
        class_ids = {category.id: index for index, category in enumerate(self.categories)}
        every_class = dataclasses.replace(self.codec, thing_ids=tuple(range(len(self.categories))))
        return entries.Numbering(class_ids, every_class)

    def lacks(self, annotation: documents.Annotation) -> bool:
        """Tells whether the PNG of an image is missing."""
        return annotation.file_name not in self._pngs

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
        things = set(self.codec.thing_ids)
        for segment in annotation.segments:
            class_id = self._numbering.class_ids.get(segment.category_id)
            if class_id is None:
                raise errors.InputError(
                    f'{self.document.path}: image {annotation.image_id} has the category '
                    f'{segment.category_id}, which the data set lacks; is it of another --format?'
                )
            if segment.is_crowd and class_id not in things:
                raise errors.InputError(
                    f'{self.document.path}, image {annotation.image_id}: segment {segment.id} is a crowd of '
                    f'category {segment.category_id}, which is stuff; correct the file'
                )
        label = entries.PanopticPng(path, annotation.segments, self._numbering, self.has_areas).read()
        if label.missing and not self.is_truth:
            raise errors.InputError(
                f'{path} has no pixel of a segment that {self.document.path} lists; `panpipe validate` names '
                'it'
            )
        return label

    def official(self, annotation: documents.Annotation) -> np.ndarray:
        """Reads the category of every pixel, int32 [height, width], -1 in no segment."""
        classes = self.codec.decode(self.read(annotation).panoptic)[0]
        return np.array([*(category.id for category in self.categories), -1], np.int32)[classes]

    def _measured(self, annotation: documents.Annotation) -> Sequence[labels.Segment]:
        """Returns segments with their areas, counted where the file does not tell them."""
        if all(segment.area >= 0 for segment in annotation.segments):
            return annotation.segments
        path = self.png(annotation)
        ids, counts = np.unique(segments.ids(images.colors(files.read(path), path)), return_counts=True)
        areas = dict(zip(ids.tolist(), counts.tolist(), strict=True))
        return [dataclasses.replace(one, area=areas.get(one.id, 0)) for one in annotation.segments]

    def export(self, chosen: Sequence[documents.Annotation], folder: pathlib.Path, *, numbered: bool) -> str:
        """Writes the JSON file of some images, and their PNGs, for an official evaluator.

        Args:
          chosen: the images, in order.
          folder: of PNGs, to make; the JSON file is beside it.
          numbered: images are called 1, 2, …, which hotcoco wants; else by their ids.

        Returns:
          The path of the JSON file.
        """
        folder.mkdir()
        told = []
        for number, annotation in enumerate(chosen, 1):
            _copy(self.png(annotation), folder / f'{number}.png')
            entry = segments.annotation(annotation.image_id, f'{number}.png', self._measured(annotation))
            told.append({**entry, 'image_id': number} if numbered else entry)
        content: dict[str, Any] = {
            'images': [{'id': entry['image_id'], 'file_name': entry['file_name']} for entry in told],
            'annotations': told,
            'categories': [
                {'id': one.id, 'name': one.name, 'isthing': int(bool(one.is_thing)), 'color': [0, 0, 0]}
                for one in self.categories
            ],
        }
        path = f'{folder}.json'
        pathlib.Path(path).write_text(json.dumps(content))
        return path


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
      spec: tells of categories what the file does not; None where no data set is named.
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
    categories = []
    for one in listed:
        category = known.get(one.id)
        name = one.name if one.name is not None or category is None else category.name
        is_thing = one.is_thing if one.is_thing is not None or category is None else category.is_thing
        for field, value in {'name': name, 'isthing': is_thing}.items():
            if value is None:
                raise errors.InputError(
                    f'{document.path}: category {one.id} has no {field}; add it, or name the data set: '
                    '--dataset'
                )
        categories.append(documents.Category(one.id, name, is_thing))
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


def open_predictions(folder: pathlib.Path, truth: Panoptic) -> Panoptic:
    """Takes `panoptic.json` of a folder of predictions, with the categories of the ground truth.

    Raises:
      errors.InputError: the file is missing or damaged, or numbers categories otherwise.
    """
    document = documents.read(str(folder / layout.DOCUMENT), has_areas=False)
    named = {category.id: category.name or '' for category in truth.categories}
    documents.refuse_renumbered(document, named, truth.document.path)
    plain = tuple(
        dataclasses.replace(one, segments=tuple(dataclasses.replace(s, is_crowd=False) for s in one.segments))
        for one in document.annotations
    )  # predictions have no crowd: evaluators do not look
    document = dataclasses.replace(document, annotations=plain)
    return dataclasses.replace(
        truth, document=document, folder=str(folder / layout.PANOPTIC), has_areas=False, is_truth=False
    )


def _copy(path: str, target: pathlib.Path) -> None:
    """Puts a PNG in RGB at `target`: a link to one that is."""
    if image_files.header(path).mode == 'RGB':
        os.symlink(os.path.abspath(path), target)
    else:
        png.save(str(target), images.colors(files.read(path), path))
