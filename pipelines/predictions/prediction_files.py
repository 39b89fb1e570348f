# SPDX-License-Identifier: Apache-2.0
"""Reads official prediction files back: `panoptic.json` with `panoptic/*.png`, `semantic/*.png`, or both.

Those of a semantic-only model are `semantic/*.png` alone.
"""

import dataclasses
import functools
import pathlib
from collections.abc import Collection, Mapping

import numpy as np

from panpipe.model import datasets, errors, labels
from panpipe.model.storage import addresses, files
from panpipe.pipelines.formats import layout, registry, segments
from panpipe.pipelines.predictions import joining
from panpipe.pipelines.sources import documents, entries, images


@dataclasses.dataclass(frozen=True)
class Predictions:
    """Names the predictions of a folder, and reads them one at a time.

    Attributes:
      folder: holds the files that `panpipe predict` writes.
      spec: the data set.
      annotations: entry of `panoptic.json` by image; None of each image without that file.
      has_semantic: the folder has PNGs of class ids.
      has_panoptic: it has panoptic files.
    """

    folder: str
    spec: datasets.DatasetSpec
    annotations: Mapping[str, documents.Annotation | None]
    has_semantic: bool
    has_panoptic: bool = True

    @functools.cached_property
    def _index(self) -> joining.Index:
        ids = {name: one.image_id if one else None for name, one in self.annotations.items()}
        form = registry.FORMATS[self.spec.format]
        return joining.Index(addresses.join(self.folder, layout.DOCUMENT), ids, form)

    def name_of(self, name: str, official_id: documents.ImageId | None = None) -> str | None:
        """Returns what the predictions call an image, or None; as `joining.Index.find`."""
        return self._index.find(name, official_id)

    def panoptic(self, name: str) -> np.ndarray:
        """Returns panoptic ids, int32 [height, width]; the segments of a class count from 1, stuff too.

        So two segments of one stuff class stay two, as they are to the official evaluators; these count the
        pixels of a segment themselves, too, and look neither at `area` nor at `iscrowd` of a prediction.

        Raises:
          errors.InputError: there is none, or its files are damaged or disagree.
        """
        annotation = self.annotations.get(name)
        if annotation is None:
            raise errors.InputError(
                f'{addresses.join(self.folder, layout.DOCUMENT)} has no prediction of the image {name}; '
                'predict all images of the ground truth'
            )
        path = addresses.join(self.folder, layout.PANOPTIC, annotation.file_name)
        found = tuple(labels.Segment(s.id, s.category_id, 0) for s in annotation.segments)
        strange = [s.category_id for s in found if s.category_id not in self.spec.from_official]
        if strange:
            raise errors.InputError(
                f'{path} has a segment of category {strange[0]}, which {self.spec.name} lacks; check '
                '--dataset, or run `panpipe validate`'
            )
        label = entries.PanopticPng(path, found, _numbering(self.spec), has_areas=False).read()
        if label.missing:
            raise errors.InputError(
                f'{path} has no pixel of a segment that {layout.DOCUMENT} lists; `panpipe validate` names it'
            )
        return label.panoptic

    @property
    def names(self) -> Collection[str]:
        """Images that have a prediction."""
        return self.annotations.keys()

    def semantic(self, name: str, panoptic: np.ndarray | None) -> np.ndarray:
        """Returns class ids, int32 [height, width], `num_classes` where no class is predicted.

        They are those of the class-id PNG where the folder has such, else those of the panoptic map.

        Raises:
          errors.InputError: the PNG is missing or damaged.
        """
        codec = self.spec.labels
        if panoptic is not None and not self.has_semantic:
            classes = codec.decode(panoptic)[0]
            return np.where(classes == codec.ignore_label, codec.num_classes, classes)
        path = addresses.join(self.folder, layout.SEMANTIC, f'{name}.png')
        table = np.full(2**16, codec.num_classes, np.int32)
        for category in self.spec.categories:
            table[category.official_id] = category.id
        return table[class_ids(path)]


def read(folder: str, spec: datasets.DatasetSpec) -> Predictions:
    """Reads what `panoptic.json` of a folder lists.

    Raises:
      errors.InputError: the file is missing, of another form or data set, or lists an image twice.
    """
    path = addresses.join(folder, layout.DOCUMENT)
    classes = files.find(folder, f'{layout.SEMANTIC}/*.png')
    if classes and not files.exists(path):
        names = {pathlib.PurePath(file).stem: None for file in classes}
        return Predictions(folder, spec, names, has_semantic=True, has_panoptic=False)
    form = registry.FORMATS[spec.format]
    document = documents.read(path, has_areas=False)
    _check_categories(document, spec)
    by_image: dict[str, documents.Annotation | None] = {}
    for annotation in document.annotations:
        name = form.key({'image_id': annotation.image_id, 'file_name': annotation.file_name})
        if name in by_image:
            raise errors.InputError(f'{path} lists the image {name} twice; keep one prediction')
        by_image[name] = annotation
    return Predictions(folder, spec, by_image, layout.SEMANTIC in form.FOLDERS and bool(classes))


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


def _check_categories(document: documents.Document, spec: datasets.DatasetSpec) -> None:
    """Refuses a file whose categories have nothing in common with the data set's; it may list none."""
    told = {category.id: category.name for category in document.categories.values()}
    known = {category.official_id: category.name for category in spec.categories}
    if told and not told.items() & known.items():
        number, name = next(iter(told.items()))
        raise errors.InputError(
            f'{document.path} is of another data set than {spec.name}: its category {number} is {name!r}; '
            'check --dataset'
        )
    documents.refuse_renumbered(document, known, f'the data set {spec.name}')


def _numbering(spec: datasets.DatasetSpec) -> entries.Numbering:
    """Numbers the segments of every class: a prediction has no crowd to tell from them."""
    codec = dataclasses.replace(spec.labels, thing_ids=tuple(spec.by_id))
    return dataclasses.replace(entries.official_numbering(spec), codec=codec)
