# SPDX-License-Identifier: Apache-2.0
"""Entries of a listing of a raw data set, and how a worker turns one into a record."""

import collections
import dataclasses
from collections.abc import Iterable, Mapping

import numpy as np

from panpipe.model import datasets, errors, labels
from panpipe.model.inputs import records
from panpipe.model.metrics import masks
from panpipe.pipelines import files
from panpipe.pipelines.formats import segments as formats_segments
from panpipe.pipelines.sources import images

# Cityscapes writes an instance as label id * 1000 + number, in 16 bits.
_INSTANCE_BASE = 1000
_ID_LIMIT = 65536
_UNKNOWN = -1


@dataclasses.dataclass(frozen=True)
class Numbering:
    """States how the class numbers in a data set's files become panoptic ids.

    Attributes:
      class_ids: panpipe's class id by the number in the files.
      codec: label numbers.
      treat_crowd_as_ignore: makes crowd void; otherwise it is its class with instance 0.
    """

    class_ids: Mapping[int, int]
    codec: labels.LabelSpec
    treat_crowd_as_ignore: bool = False

    def panoptic_ids(self, segments: Iterable[labels.Segment], where: str) -> list[int]:
        """Returns the panoptic id of each segment: instances of a class count from 1 in this order.

        Raises:
          errors.InputError: a class has label_divisor instances or more.
        """
        counts = collections.Counter[int]()
        ids = []
        for segment in segments:
            class_id = self.class_ids[segment.category_id]
            is_single = class_id in self.codec.thing_ids and not segment.is_crowd
            counts[class_id] += is_single
            ids.append(self.codec.encode(class_id, counts[class_id] if is_single else 0))
            if segment.is_crowd and self.treat_crowd_as_ignore:
                ids[-1] = self.codec.void
        for class_id, count in counts.items():
            if count >= self.codec.label_divisor:
                raise errors.InputError(
                    f'{where}: class {class_id} has {count} instances, but label_divisor '
                    f'{self.codec.label_divisor} leaves room for {self.codec.label_divisor - 1}; '
                    'describe the data set with a larger label_divisor'
                )
        return ids


@dataclasses.dataclass(frozen=True)
class PanopticPng:
    """Names a panoptic PNG (segment id = red + 256 green + 65536 blue) and lists its segments.

    Attributes:
      path: of the PNG.
      segments: in the order of the JSON file.
      numbering: of the classes.
      has_areas: the JSON file states areas, which must agree with the PNG.
    """

    path: str
    segments: tuple[labels.Segment, ...]
    numbering: Numbering
    has_areas: bool = True

    def read(self) -> np.ndarray:
        """Returns panoptic ids, int32 [height, width].

        Raises:
          errors.InputError: the PNG is damaged, or disagrees with the segments.
        """
        colors = formats_segments.ids(images.pixels(files.read(self.path), ('RGB',), self.path))
        known = [0, *(segment.id for segment in self.segments)]
        index, is_known = formats_segments.find(colors, known)
        if not is_known.all():
            raise errors.InputError(
                f'{self.path}: its pixels name segment {colors[~is_known][0]}, which the JSON file '
                'does not list; both must come from the same release'
            )
        if self.has_areas:
            self._check_areas(np.bincount(index.ravel(), minlength=len(known))[1:])
        ids = self.numbering.panoptic_ids(self.segments, self.path)
        return np.array([self.numbering.codec.void, *ids], np.int32)[index]

    def _check_areas(self, areas: np.ndarray) -> None:
        for segment, area in zip(self.segments, areas.tolist(), strict=True):
            if area != segment.area:
                raise errors.InputError(
                    f'{self.path}: segment {segment.id} has {area} pixels, but the JSON file says '
                    f'{segment.area}; both must come from the same release'
                )


@dataclasses.dataclass(frozen=True)
class InstanceIds:
    """Names a Cityscapes `*_gtFine_instanceIds.png`.

    Attributes:
      path: of the PNG: label id of stuff and of groups of things, label id * 1000 + number of single things.
      numbering: of the label ids; those that it does not list are void.
    """

    path: str
    numbering: Numbering

    def read(self) -> np.ndarray:
        """Returns panoptic ids, int32 [height, width].

        Raises:
          errors.InputError: the PNG is damaged.
        """
        ids = _read_ids(self.path, ('I;16', 'I', 'L'))
        segments = [self._segment(number) for number in masks.present(ids)]
        known = [segment for segment in segments if segment.category_id in self.numbering.class_ids]
        table = np.full(_ID_LIMIT, self.numbering.codec.void, np.int32)
        table[[segment.id for segment in known]] = self.numbering.panoptic_ids(known, self.path)
        return table.take(ids)

    def _segment(self, number: int) -> labels.Segment:
        is_single = number >= _INSTANCE_BASE
        label_id = number // _INSTANCE_BASE if is_single else number
        is_thing = self.numbering.class_ids.get(label_id) in self.numbering.codec.thing_ids
        return labels.Segment(number, label_id, 0, is_thing and not is_single)  # no one asks for its area


@dataclasses.dataclass(frozen=True)
class SemanticIds:
    """Names a PNG that holds the class of each pixel, without instances.

    Attributes:
      path: of the PNG, grey or with a palette, whose indices count.
      numbering: of its numbers.
      void: numbers that stand for no class; any other that `numbering` does not list is an error.
    """

    path: str
    numbering: Numbering
    void: frozenset[int]

    def read(self) -> np.ndarray:
        """Returns panoptic ids with instance 0 everywhere, int32 [height, width].

        Raises:
          errors.InputError: the PNG is damaged, or holds a number that is neither a class nor void.
        """
        ids = _read_ids(self.path, ('L', 'P', 'I;16', 'I'))
        table = np.full(_ID_LIMIT, _UNKNOWN, np.int32)
        table[list(self.void)] = self.numbering.codec.void
        for number, class_id in self.numbering.class_ids.items():
            table[number] = self.numbering.codec.encode(class_id, 0)
        panoptic = table.take(ids)
        if panoptic.min(initial=0) == _UNKNOWN:
            raise errors.InputError(
                f'{self.path} holds the number {ids[panoptic == _UNKNOWN][0]}, which is no class of the data '
                'set; correct the file or the --dataset'
            )
        return panoptic


def _read_ids(path: str, modes: tuple[str, ...]) -> np.ndarray:
    ids = images.pixels(files.read(path), modes, path)
    if ids.max(initial=0) >= _ID_LIMIT or ids.min(initial=0) < 0:
        raise errors.InputError(f'{path} holds ids outside 0 .. {_ID_LIMIT - 1}; fetch it again')
    return ids


@dataclasses.dataclass(frozen=True)
class ImageFile:
    """Names one image and its annotation.

    Attributes:
      image_id: file name without folder and ending.
      path: of the image file.
      format: 'png' or 'jpeg', by the ending.
      label: where its annotation is, or None.
    """

    image_id: str
    path: str
    format: str
    label: PanopticPng | InstanceIds | SemanticIds | None = None


def official_numbering(spec: datasets.DatasetSpec, treat_crowd_as_ignore: bool = False) -> Numbering:
    """Returns the numbering of files that use the official class ids."""
    class_ids = {category.official_id: category.id for category in spec.categories}
    return Numbering(class_ids, spec.labels, treat_crowd_as_ignore)


def load(entry: ImageFile) -> records.Record:
    """Reads one image and its annotation. Runs on workers.

    Raises:
      errors.InputError: a file is missing or damaged, or image and annotation disagree.
    """
    encoded, height, width = images.upright_rgb(files.read(entry.path), entry.format, entry.path)
    panoptic = entry.label.read() if entry.label else None
    if entry.label and panoptic is not None and panoptic.shape != (height, width):
        raise errors.InputError(
            f'{entry.label.path} is {panoptic.shape[0]} x {panoptic.shape[1]} (height x width), but its '
            f'image {entry.path} is {height} x {width}; both must come from the same release'
        )
    return records.Record(entry.image_id, encoded, entry.format, height, width, panoptic)
