# SPDX-License-Identifier: Apache-2.0
"""Reads official prediction files back: `panoptic.json` with `panoptic/*.png`, `semantic/*.png`, or both.

Those of a semantic-only model are `semantic/*.png` alone.
"""

import dataclasses
import json
import operator
import pathlib
from collections.abc import Collection, Mapping
from typing import Any

import numpy as np

from panpipe.model import datasets, errors, labels
from panpipe.pipelines import files
from panpipe.pipelines.formats import registry, segments
from panpipe.pipelines.sources import entries, images

DOCUMENT = 'panoptic.json'


@dataclasses.dataclass(frozen=True)
class Predictions:
    """Names the predictions of a folder, and reads them one at a time.

    Attributes:
      folder: holds the files that `panpipe predict` writes.
      spec: the data set.
      annotations: entry of `panoptic.json` by image; empty entries without that file.
      has_semantic: the folder has PNGs of class ids.
      has_panoptic: it has panoptic files.
    """

    folder: str
    spec: datasets.DatasetSpec
    annotations: Mapping[str, Mapping[str, Any]]
    has_semantic: bool
    has_panoptic: bool = True

    def panoptic(self, name: str) -> np.ndarray:
        """Returns panoptic ids, int32 [height, width]; the segments of a class count from 1, stuff too.

        So two segments of one stuff class stay two, as they are to the official evaluators; these count the
        pixels of a segment themselves, too, and look neither at `area` nor at `iscrowd` of a prediction.

        Raises:
          errors.InputError: there is none, or its files are damaged or disagree.
        """
        if name not in self.annotations:
            raise errors.InputError(
                f'{files.join(self.folder, DOCUMENT)} has no prediction of the image {name}; predict all '
                'images of the ground truth'
            )
        annotation = self.annotations[name]
        path = files.join(self.folder, 'panoptic', annotation['file_name'])
        found = tuple(labels.Segment(s['id'], s['category_id'], 0) for s in annotation['segments_info'])
        strange = [s.category_id for s in found if s.category_id not in self.spec.from_official]
        if strange:
            raise errors.InputError(
                f'{path} has a segment of category {strange[0]}, which {self.spec.name} lacks; check '
                '--dataset, or run `panpipe validate`'
            )
        return entries.PanopticPng(path, found, _numbering(self.spec), has_areas=False).read()

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
        path = files.join(self.folder, 'semantic', f'{name}.png')
        table = np.full(2**16, codec.num_classes, np.int32)
        for category in self.spec.categories:
            table[category.official_id] = category.id
        return table[class_ids(path)]


def read(folder: str, spec: datasets.DatasetSpec) -> Predictions:
    """Reads what `panoptic.json` of a folder lists.

    Raises:
      errors.InputError: the file is missing, of another form or data set, or lists an image twice.
    """
    path = files.join(folder, DOCUMENT)
    classes = files.find(folder, 'semantic/*.png')
    if classes and not files.exists(path):
        names = (pathlib.PurePath(file).stem for file in classes)
        return Predictions(folder, spec, {name: {} for name in names}, has_semantic=True, has_panoptic=False)
    key = registry.FORMATS[registry.of(spec)].key
    by_image: dict[str, Mapping[str, Any]] = {}
    try:
        document = json.loads(files.read(path))
        _check_categories(document, spec, path)
        for annotation in document['annotations']:
            for segment in annotation['segments_info']:
                _ = operator.index(segment['id']), operator.index(segment['category_id'])
            files.join(folder, annotation['file_name'])
            name = key(annotation)
            if name in by_image:
                raise errors.InputError(f'{path} lists the image {name} twice; keep one prediction')
            by_image[name] = annotation
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        if isinstance(error, errors.InputError):
            raise
        raise errors.InputError(
            f'{path} is not a panoptic JSON file of the COCO form ({type(error).__name__}: {error}); '
            'run `panpipe predict` again'
        ) from error
    return Predictions(folder, spec, by_image, registry.of(spec) == 'cityscapes' and bool(classes))


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


def _check_categories(document: Mapping[str, Any], spec: datasets.DatasetSpec, path: str) -> None:
    """Refuses a file whose categories have nothing in common with the data set's; it may list none."""
    told = {category['id']: category['name'] for category in document.get('categories', ())}
    known = {category.official_id: category.name for category in spec.categories}
    if told and not told.items() & known.items():
        number, name = next(iter(told.items()))
        raise errors.InputError(
            f'{path} is of another data set than {spec.name}: its category {number} is {name!r}; '
            'check --dataset'
        )


def _numbering(spec: datasets.DatasetSpec) -> entries.Numbering:
    """Numbers the segments of every class: a prediction has no crowd to tell from them."""
    codec = dataclasses.replace(spec.labels, thing_ids=tuple(spec.by_id))
    return dataclasses.replace(entries.official_numbering(spec), codec=codec)
