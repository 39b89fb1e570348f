# SPDX-License-Identifier: Apache-2.0
"""Panoptic labels painted from masks of single instances, which may overlap.

Stuff lies lowest, crowds over it, single things on top. Among those of a kind the data set says which of two
has the pixels of both (`datasets.OVERLAPS`). An instance that others hide altogether is left out.
"""

import dataclasses
import json
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from pycocotools import mask as coco_mask

from panpipe.model import datasets, errors, labels
from panpipe.pipelines.sources import entries, images, run_lengths

_STUFF, _CROWD, _SINGLE = range(3)  # layers, from below


class Mask(NamedTuple):
    """Holds an annotation.

    Attributes:
      id: what errors call it.
      category_id: class as the file numbers it.
      is_crowd: a group of things.
      encoded: polygons or run lengths, as JSON.
    """

    id: str
    category_id: int
    is_crowd: bool
    encoded: bytes


class Painted(NamedTuple):
    """Holds a mask that is ready to be painted: where it is, and the panoptic id that it gives."""

    mask: Mask
    pixels: np.ndarray  # bool [height, width]
    panoptic_id: int
    layer: int


@dataclasses.dataclass(frozen=True, slots=True)
class Painting:
    """Names the annotations of an image in an instance file, and what lies under them.

    Attributes:
      path: of the instance file.
      masks: in the order of the file.
      size: (height, width) of the image.
      numbering: of the classes.
      overlap: a key of `datasets.OVERLAPS`; None as 'error'.
      below: classes of all pixels, under the instances; None where there is no such map.
      background: class of pixels that nothing covers, where there is no map; None makes them void.
      is_semantic: instances are not told apart: all are 0.
    """

    path: str
    masks: Sequence[Mask]
    size: images.Size
    numbering: entries.Numbering
    overlap: str | None = None
    below: entries.SemanticIds | None = None
    background: int | None = None
    is_semantic: bool = False

    def read(self) -> entries.Label:
        """Decodes the masks and paints them.

        Raises:
          errors.InputError: a mask is damaged or of another size, masks overlap that must not, or a class has
            too many instances.
        """
        panoptic = self._base()
        paint(panoptic, self._decoded(), self.overlap, self.path)
        if self.is_semantic:
            panoptic -= panoptic % self.numbering.codec.label_divisor
        return entries.Label(panoptic)

    def _base(self) -> np.ndarray:
        codec = self.numbering.codec
        if self.below is None:
            class_id = codec.ignore_label
            if self.background is not None:
                class_id = self.numbering.class_ids[self.background]
            empty = np.empty(self.size, np.int32)
            empty[:] = codec.encode(class_id, 0)
            return empty
        panoptic = self.below.read().panoptic
        if panoptic.shape != self.size:
            raise errors.InputError(
                f'{self.below.path} is {panoptic.shape[0]} x {panoptic.shape[1]} (height x width), but '
                f'{self.path} says {self.size[0]} x {self.size[1]}; annotate the image at its own size'
            )
        if self.numbering.treat_crowd_as_ignore:
            is_thing = codec.thing_table()[panoptic // codec.label_divisor]
            panoptic = np.where(is_thing, np.int32(codec.void), panoptic)
        return panoptic

    def _decoded(self) -> list[Painted]:
        things, class_ids = self.numbering.codec.thing_ids, self.numbering.class_ids
        is_thing = [class_ids[mask.category_id] in things for mask in self.masks]
        segments = [
            labels.Segment(number, mask.category_id, 0, thing and mask.is_crowd)
            for number, (mask, thing) in enumerate(zip(self.masks, is_thing, strict=True), 1)
        ]
        ids = self.numbering.panoptic_ids(segments, self.path)
        layers = [
            _STUFF if not thing else _CROWD if mask.is_crowd else _SINGLE
            for mask, thing in zip(self.masks, is_thing, strict=True)
        ]
        return [
            Painted(mask, self._pixels(mask), panoptic_id, layer)
            for mask, panoptic_id, layer in zip(self.masks, ids, layers, strict=True)
        ]

    def _pixels(self, mask: Mask) -> np.ndarray:
        given = json.loads(mask.encoded)
        coded = run_lengths.read(given, *self.size)
        if coded is None:
            raise errors.InputError(
                f'{self.path}: the segmentation of annotation {mask.id} must be polygons of 6 numbers or '
                f'more, or run lengths of the size of its image, {list(self.size)}; correct or remove it'
            )
        return np.asarray(coco_mask.decode(coded), bool)


def paint(panoptic: np.ndarray, found: Sequence[Painted], overlap: str | None, where: str) -> None:
    """Paints masks into a map in place.

    Args:
      panoptic: int32 [height, width].
      found: in the order of the file.
      overlap: a key of `datasets.OVERLAPS`; None as 'error'.
      where: the file, for errors.

    Raises:
      errors.InputError: two of a layer overlap, and that is an error.
    """
    order = sorted(found, key=lambda one: one.layer)
    if overlap == 'smaller_first':
        order = sorted(found, key=lambda one: (one.layer, -int(one.pixels.sum())))
    if overlap in (None, 'error'):
        _refuse_overlaps(order, where)
    for one in order:
        panoptic[one.pixels] = one.panoptic_id


def _refuse_overlaps(order: Sequence[Painted], where: str) -> None:
    """Refuses pixels that two annotations of a layer claim, unless they say the same of them."""
    for number, one in enumerate(order):
        for other in order[:number]:
            if other.layer != one.layer or other.panoptic_id == one.panoptic_id:
                continue
            if count := int((one.pixels & other.pixels).sum()):
                ways = ' or '.join(f'"overlap": "{name}"' for name in datasets.OVERLAPS if name != 'error')
                raise errors.InputError(
                    f'{where}: annotations {other.mask.id} and {one.mask.id} share {count} pixels; say in the'
                    f' description of the data set who has them: {ways}'
                )
