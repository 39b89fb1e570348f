# SPDX-License-Identifier: Apache-2.0
"""Reads a folder of predictions: `panoptic.json` with `panoptic/*.png`, `semantic/*.png`, or both.

A semantic-only model has `semantic/*.png` alone. This is the reader of all jobs that use predictions; the
validate job lists all faults of a folder instead of stopping at the first one (`pipelines/faults`).
"""

import dataclasses
import functools
import pathlib
import types
from collections.abc import Collection, Mapping
from typing import Self

import numpy as np

from panpipe.model import datasets, errors, labels
from panpipe.model.storage import addresses, files
from panpipe.pipelines.formats import layout, registry, segments
from panpipe.pipelines.predictions import joining
from panpipe.pipelines.sources import annotations, documents, entries, images


@dataclasses.dataclass(frozen=True)
class Classes:
    """States which classes predictions may have, and how maps number them.

    Attributes:
      where: what lists them, as messages name it: a data set, or a file of ground truth.
      codec: what the numbers of maps mean.
      ids: class id by official id.
      names: by official id.
    """

    where: str
    codec: labels.LabelSpec
    ids: Mapping[int, int]
    names: Mapping[int, str]

    @classmethod
    def of(cls, spec: datasets.DatasetSpec) -> Self:
        """Takes the classes of a data set."""
        numbering = entries.official_numbering(spec)
        return cls(spec.name, spec.labels, numbering.class_ids, numbering.names)

    @functools.cached_property
    def numbering(self) -> entries.Numbering:
        """Numbers the segments of every class, so that two segments of one stuff class stay two."""
        codec = dataclasses.replace(self.codec, thing_ids=tuple(self.ids.values()))
        return entries.Numbering(self.ids, codec, names=self.names)

    @functools.cached_property
    def table(self) -> np.ndarray:
        """Class ids by official id, int32 [65536]: `num_classes` where there is no class."""
        table = np.full(2**16, self.codec.num_classes, np.int32)
        for official, class_id in self.ids.items():
            if 0 <= official < len(table):
                table[official] = class_id
        return table


@dataclasses.dataclass(frozen=True)
class Predictions:
    """Names the predictions of a folder, and reads them one at a time.

    Attributes:
      folder: holds the files that `panpipe predict` writes.
      format: of the files, a key of `registry.FORMATS`.
      classes: that may occur.
      annotations: entry of `panoptic.json` by image, without crowds; None of each image without that file.
      has_semantic: the folder has PNGs of class ids.
      has_panoptic: it has panoptic files.
    """

    folder: str
    format: str
    classes: Classes
    annotations: Mapping[str, documents.Annotation | None]
    has_semantic: bool
    has_panoptic: bool = True

    @property
    def document(self) -> str:
        """Address of `panoptic.json`."""
        return addresses.join(self.folder, layout.DOCUMENT)

    @property
    def form(self) -> types.ModuleType:
        """The module of the format."""
        return registry.FORMATS[self.format]

    @property
    def names(self) -> Collection[str]:
        """Images that have a prediction."""
        return self.annotations.keys()

    @functools.cached_property
    def _index(self) -> joining.Index:
        ids = {name: one.image_id if one else None for name, one in self.annotations.items()}
        return joining.Index(self.document, ids, self.form)

    @functools.cached_property
    def _pngs(self) -> Mapping[str, str]:
        wanted = [one.file_name for one in self.annotations.values() if one]
        return annotations.png_paths(wanted, addresses.join(self.folder, layout.PANOPTIC))

    def name_of(self, name: str, official_id: documents.ImageId | None = None) -> str | None:
        """Returns what the predictions call an image, or None; as `joining.Index.find`."""
        return self._index.find(name, official_id)

    def annotation(self, name: str) -> documents.Annotation:
        """Returns the entry of an image in `panoptic.json`.

        Raises:
          errors.InputError: there is none.
        """
        found = self.annotations.get(name)
        if found is None:
            raise errors.InputError(
                f'{self.document} has no prediction of the image {name}; predict all images of the ground '
                'truth'
            )
        return found

    def lacks(self, name: str) -> bool:
        """Returns whether the panoptic PNG of a predicted image is missing."""
        return self.annotation(name).file_name not in self._pngs

    def png(self, name: str) -> str:
        """Returns the address of the panoptic PNG of an image.

        Raises:
          errors.InputError: it is missing, or the image has no prediction.
        """
        file_name = self.annotation(name).file_name
        if file_name not in self._pngs:
            path = addresses.join(self.folder, layout.PANOPTIC, file_name)
            raise errors.InputError(f'{path} is missing, but {self.document} names it; predict again')
        return self._pngs[file_name]

    def class_png(self, name: str) -> str:
        """Returns the address that the PNG of class ids of an image should have."""
        return addresses.join(self.folder, layout.SEMANTIC, f'{name}.png')

    def panoptic(self, name: str) -> np.ndarray:
        """Returns panoptic ids, int32 [height, width]; the segments of a class count from 1, stuff too.

        Two segments of one stuff class stay two, as they are to the official evaluators; these count the
        pixels of a segment themselves, too, and look neither at `area` nor at `iscrowd` of a prediction.

        Raises:
          errors.InputError: there is none, or its files are damaged or disagree.
        """
        path, found = self.png(name), self.annotation(name).segments
        strange = [one.category_id for one in found if one.category_id not in self.classes.ids]
        if strange:
            raise errors.InputError(
                f'{path} has a segment of category {strange[0]}, which {self.classes.where} lacks; check '
                '--dataset, or run `panpipe validate`'
            )
        label = entries.PanopticPng(path, found, self.classes.numbering, has_areas=False).read()
        if label.missing:
            raise errors.InputError(
                f'{path} has no pixel of a segment that {layout.DOCUMENT} lists; `panpipe validate` names it'
            )
        return label.panoptic

    def semantic(self, name: str, panoptic: np.ndarray | None) -> np.ndarray:
        """Returns class ids, int32 [height, width], `num_classes` where no class is predicted.

        They are those of the class-id PNG where the folder has such, else those of the panoptic map.

        Raises:
          errors.InputError: the PNG is missing or damaged.
        """
        codec = self.classes.codec
        if panoptic is not None and not self.has_semantic:
            classes = codec.decode(panoptic)[0]
            return np.where(classes == codec.ignore_label, codec.num_classes, classes)
        return self.classes.table[class_ids(self.class_png(name))]


def read(folder: str, spec: datasets.DatasetSpec) -> Predictions:
    """Reads what `panoptic.json` of a folder lists, for a data set; raises as `open_folder`."""
    return open_folder(folder, spec.format, Classes.of(spec))


def open_folder(folder: str, format_name: str, classes: Classes) -> Predictions:
    """Reads what `panoptic.json` of a folder lists.

    Raises:
      errors.InputError: the file is missing, of another form or other classes, or lists an image twice.
    """
    pngs = files.find(folder, f'{layout.SEMANTIC}/*.png')
    path = addresses.join(folder, layout.DOCUMENT)
    if pngs and not files.exists(path):
        names = {pathlib.PurePath(file).stem: None for file in pngs}
        return Predictions(folder, format_name, classes, names, has_semantic=True, has_panoptic=False)
    form = registry.FORMATS[format_name]
    document = documents.read(path, has_areas=False)
    _check_categories(document, classes)
    by_image: dict[str, documents.Annotation | None] = {}
    for annotation in document.annotations:
        name = form.key({'image_id': annotation.image_id, 'file_name': annotation.file_name})
        if name in by_image:
            raise errors.InputError(f'{path} lists the image {name} twice; keep one prediction')
        by_image[name] = _without_crowds(annotation)
    has_semantic = layout.SEMANTIC in form.FOLDERS and bool(pngs)
    return Predictions(folder, format_name, classes, by_image, has_semantic)


def has_panoptic(folder: str) -> bool:
    """Returns whether a folder is of an instance-aware model, or should be: not of class ids alone."""
    return files.exists(addresses.join(folder, layout.DOCUMENT)) or not files.find(
        folder, f'{layout.SEMANTIC}/*.png'
    )


def class_ids(path: str) -> np.ndarray:
    """Reads official class ids, unsigned [height, width], from a grey PNG of 8 or 16 bits.

    Raises:
      errors.InputError: the file is missing, damaged or of another mode.
    """
    return images.pixels(files.read(path), segments.CLASS_MODES, path)


def as_panoptic(semantic: np.ndarray, codec: labels.LabelSpec) -> np.ndarray:
    """Makes one segment of each class, int32 [height, width]; `num_classes` stands for no class."""
    ids = np.where(semantic == codec.num_classes, codec.void, codec.encode(semantic, 1))
    return ids.astype(np.int32)


def _check_categories(document: documents.Document, classes: Classes) -> None:
    """Refuses a file whose categories have nothing in common with the known ones; it may name none."""
    told = {one.id: one.name for one in document.categories.values() if one.name is not None}
    if told and not told.items() & classes.names.items():
        number, name = next(iter(told.items()))
        raise errors.InputError(
            f'{document.path} is of another data set than {classes.where}: its category {number} is '
            f'{name!r}; check --dataset'
        )
    documents.refuse_renumbered(document, classes.names, classes.where)


def _without_crowds(annotation: documents.Annotation) -> documents.Annotation:
    """Makes crowds plain segments: evaluators do not look at `iscrowd` of a prediction."""
    if not any(one.is_crowd for one in annotation.segments):
        return annotation
    plain = tuple(dataclasses.replace(one, is_crowd=False) for one in annotation.segments)
    return dataclasses.replace(annotation, segments=plain)
