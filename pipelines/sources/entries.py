# SPDX-License-Identifier: Apache-2.0
"""Entries of a listing of a raw data set, and how a worker turns one into a record."""

import collections
import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple, Protocol

import numpy as np

from panpipe.model import datasets, errors, labels
from panpipe.model.inputs import records
from panpipe.model.metrics import masks
from panpipe.model.storage import files
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
      names: of the classes by the number in the files, as far as they are known.
    """

    class_ids: Mapping[int, int]
    codec: labels.LabelSpec
    treat_crowd_as_ignore: bool = False
    names: Mapping[int, str] = dataclasses.field(default_factory=dict)

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


class Label(NamedTuple):
    """Holds the annotation of an image.

    Attributes:
      panoptic: ids, int32 [height, width].
      missing: class of each segment that is listed and has no pixel, as where others cover it; no crowds. To
        the official evaluators such a segment is missed by every prediction.
    """

    panoptic: np.ndarray
    missing: tuple[int, ...] = ()


class LabelFile(Protocol):
    """Names the annotation of an image, and reads it on a worker; it can be pickled."""

    @property
    def path(self) -> str:
        """Address of the file."""

    def read(self) -> Label:
        """Reads it.

        Raises:
          errors.InputError: it is missing or damaged.
        """


@dataclasses.dataclass(frozen=True, slots=True)
class PanopticPng:
    """Names a panoptic PNG (segment id = red + 256 green + 65536 blue) and lists its segments.

    Attributes:
      path: of the PNG.
      segments: in the order of the JSON file.
      numbering: of the classes.
      has_areas: the JSON file states areas, which must agree with the PNG.
    """

    path: str
    segments: Sequence[labels.Segment]
    numbering: Numbering
    has_areas: bool = True

    def read(self) -> Label:
        """Reads the PNG.

        Raises:
          errors.InputError: it is damaged, or disagrees with the segments.
        """
        colors = formats_segments.ids(images.colors(files.read(self.path), self.path))
        known = [0, *(segment.id for segment in self.segments)]
        index, is_known = formats_segments.find(colors, known)
        if not is_known.all():
            raise errors.InputError(
                f'{self.path}: its pixels name segment {colors[~is_known][0]}, which the JSON file '
                'does not list; both must come from the same release'
            )
        areas = np.bincount(index.ravel(), minlength=len(known))[1:].tolist()
        if self.has_areas:
            self._check_areas(areas)
        missing = [s for s, area in zip(self.segments, areas, strict=True) if not (area or s.is_crowd)]
        ids = self.numbering.panoptic_ids(self.segments, self.path)
        panoptic = np.array([self.numbering.codec.void, *ids], np.int32)[index]
        classes = [self.numbering.class_ids[segment.category_id] for segment in missing]
        return Label(panoptic, tuple(i for i in classes if i != self.numbering.codec.ignore_label))

    def _check_areas(self, areas: Sequence[int]) -> None:
        for segment, area in zip(self.segments, areas, strict=True):
            if area != segment.area:
                raise errors.InputError(
                    f'{self.path}: segment {segment.id}: area {segment.area}, {area} pixels; the area in the '
                    'JSON file must be the number of pixels in the PNG: correct it, or fetch both again'
                )


@dataclasses.dataclass(frozen=True)
class InstanceIds:
    """Names a Cityscapes `*_gtFine_instanceIds.png`.

    Attributes:
      path: of the PNG: label id of stuff and of groups of things, label id * 1000 + number of single things.
      numbering: of the label ids that are evaluated.
      void: label ids that are not; any other is an error.
    """

    path: str
    numbering: Numbering
    void: frozenset[int]

    def read(self) -> Label:
        """Reads the PNG.

        Raises:
          errors.InputError: it is damaged, or holds a number of no label.
        """
        return self.label_of(_read_ids(self.path, ('I;16', 'I', 'L', 'P')))

    def label_of(self, ids: np.ndarray) -> Label:
        """Makes a label of the numbers that such a PNG holds, integers from 0 on [height, width].

        Raises:
          errors.InputError: one is the number of no label.
        """
        if ids.max(initial=0) >= _ID_LIMIT:
            raise errors.InputError(
                f'{self.path} holds the number {ids.max()}, more than 16 bits hold; things of this layout '
                'have an official_id below 65: correct the description'
            )
        segments = [self._segment(number) for number in masks.present(ids)]
        known = [segment for segment in segments if segment.category_id in self.numbering.class_ids]
        table = np.full(_ID_LIMIT, self.numbering.codec.void, np.int32)
        table[[segment.id for segment in known]] = self.numbering.panoptic_ids(known, self.path)
        return Label(table.take(ids))

    def _segment(self, number: int) -> labels.Segment:
        is_single = number >= _INSTANCE_BASE
        label_id = number // _INSTANCE_BASE if is_single else number
        class_id = self.numbering.class_ids.get(label_id)
        things = self.numbering.codec.thing_ids
        if class_id is None and label_id not in self.void:
            told = f', an instance of the label {label_id}' if is_single else ''
            raise errors.InputError(
                f'{self.path} holds the number {number}{told}, which Cityscapes does not have (255 is '
                'void of train ids); correct the file, or describe the data set and name it: --dataset'
            )
        if is_single and class_id not in things and label_id in things:
            raise errors.InputError(
                f'{self.path} holds the number {number}, an instance of the label {label_id}, which is no '
                'thing: these look like train ids; take the original file of gtFine_trainvaltest.zip'
            )
        return labels.Segment(
            number, label_id, 0, class_id in things and not is_single
        )  # its area is not asked


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

    def read(self) -> Label:
        """Reads the PNG; all instances are 0.

        Raises:
          errors.InputError: it is damaged, or holds a number that is neither a class nor void.
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
        return Label(panoptic)


def _read_ids(path: str, modes: tuple[str, ...]) -> np.ndarray:
    ids = images.pixels(files.read(path), modes, path)
    if ids.max(initial=0) >= _ID_LIMIT or ids.min(initial=0) < 0:
        raise errors.InputError(f'{path} holds ids outside 0 .. {_ID_LIMIT - 1}; fetch it again')
    return ids


@dataclasses.dataclass(frozen=True, slots=True)
class ImageFile:
    """Names one image and its annotation.

    Attributes:
      image_id: name of the file below the folder of its split, without ending.
      path: of the image file.
      format: 'png' or 'jpeg', as which records hold it.
      label: where its annotation is, or None.
      official_id: what the annotation file calls it by, where that is not the name.
      size: (height, width) that the annotation file tells, or None.
    """

    image_id: str
    path: str
    format: str
    label: LabelFile | None = None
    official_id: str | int | None = None
    size: images.Size | None = None


def official_numbering(spec: datasets.DatasetSpec, treat_crowd_as_ignore: bool = False) -> Numbering:
    """Returns the numbering of files that use the official class ids."""
    class_ids = {category.official_id: category.id for category in spec.categories}
    named = {category.official_id: category.name for category in spec.categories}
    return Numbering(class_ids, spec.labels, treat_crowd_as_ignore, named)


def load(entry: ImageFile) -> records.Record:
    """Reads one image and its annotation. Runs on workers.

    Raises:
      errors.InputError: a file is missing or damaged, or image and annotation disagree.
    """
    label = entry.label.read() if entry.label else None
    annotated = label.panoptic.shape if label else entry.size
    encoded, height, width = images.upright_rgb(
        files.read(entry.path), entry.format, entry.path, annotated and (annotated[0], annotated[1])
    )
    if entry.label and annotated and annotated != (height, width):
        raise errors.InputError(
            f'{entry.label.path} is {annotated[0]} x {annotated[1]} (height x width), but its image '
            f'{entry.path} is {height} x {width}; annotate the image at its own size'
        )
    return records.Record(
        entry.image_id,
        encoded,
        entry.format,
        height,
        width,
        label.panoptic if label else None,
        entry.official_id,
        label.missing if label else (),
    )
