# SPDX-License-Identifier: Apache-2.0
"""Reads instance annotations of the COCO form, and fits them to the images and classes that are judged.

pycocotools takes such a file as it is. An image that only this file lists, other numbers for the same images,
or an annotation with id 0 then make the average precision wrong, and nobody is told. Here images are joined
by their file names and classes by their names, whatever their numbers.

Source: https://cocodataset.org/#format-data, section 1 (object detection).
"""

import collections
import dataclasses
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from pycocotools import mask as coco_mask

from panpipe.model import errors
from panpipe.model.metrics import masks
from panpipe.pipelines.sources import fields, names, run_lengths

_FORM = 'an instance JSON file of the COCO form'
_MOST_SHOWN = 3
ImageId = str | int


@dataclasses.dataclass(frozen=True)
class Judged:
    """Describes an image that is judged: its id in the panoptic file, its file name, (height, width)."""

    id: ImageId
    file_name: str
    size: tuple[int, int]


@dataclasses.dataclass(frozen=True)
class Instances:
    """Holds the instances of images that both files know, with the numbers of the panoptic file.

    Attributes:
      images: those images.
      annotations: as COCOeval takes them: ids of their own from 1, run-length coded masks, iscrowd, area.
      categories: names of the thing classes that the instance file annotates, by their numbers.
      left_out: says in one line what was left out; empty if nothing was.
    """

    images: tuple[Judged, ...]
    annotations: tuple[Mapping[str, Any], ...]
    categories: Mapping[int, str]
    left_out: str


def read(
    path: str,
    judged: Sequence[Judged],
    things: Mapping[int, str],
    stuff: Collection[str],
    *,
    need_masks: bool = True,
) -> Instances:
    """Reads an instance file.

    Args:
      path: of the JSON file.
      judged: images that are judged, at least one.
      things: names of the thing classes, by their numbers in the panoptic file.
      stuff: names of its other classes.
      need_masks: refuse an annotation without a mask, for whoever finds the object would be wrong; else leave
        it out, as where the panoptic annotations are made of this file.

    Raises:
      errors.InputError: the file is of another form, lists none of the judged images, or an annotation has a
        wrong field, or a class that the panoptic file does not name.
    """
    content = fields.read(path, _FORM, ('images', 'annotations', 'categories'))
    listed = _by_id(content, 'images', 'image', 'file_name')
    classes = _by_id(content, 'categories', 'category', 'name')
    images = _images(path, listed, judged)
    numbers = {name: number for number, name in things.items()}
    kept: list[dict[str, Any]] = []
    left_out = collections.Counter[str]()
    for told in content.objects('annotations', 'annotation'):
        image_id, name = told.identity('image_id'), classes.get(told.identity('category_id'))
        if image_id not in listed:
            raise told.wrong('image_id', 'the id of an image that the file lists')
        if image_id not in images:
            continue
        if not need_masks and run_lengths.is_empty(told.told.get('segmentation')):
            left_out['annotations without mask'] += 1
        elif name in stuff:
            left_out[f'annotations of stuff ({name})'] += 1
        elif name not in numbers:
            known = ', '.join(list(numbers)[:_MOST_SHOWN])
            given = f', and not {name!r}' if name else ''
            raise told.wrong(
                'category_id', f'a category whose name is a thing of the panoptic file ({known}, …){given}'
            )
        else:
            kept.append(_annotation(told, images[image_id], numbers[name]))
    left_out['images that are not judged'] = len(listed) - len(images)
    left_out['judged images that it does not list'] = len(judged) - len(images)
    left_out['things that are no category of it'] = len(set(numbers) - set(classes.values()))
    return Instances(
        tuple(images.values()),
        tuple({**one, 'id': number} for number, one in enumerate(kept, 1)),
        {number: name for number, name in things.items() if name in classes.values()},
        ', '.join(f'{count} {what}' for what, count in left_out.items() if count),
    )


def _by_id(content: fields.Fields, name: str, noun: str, value: str) -> dict[ImageId, str]:
    """Reads a list of objects as a table from `id` to a text; both must be unique."""
    found: dict[ImageId, str] = {}
    for told in content.objects(name, noun):
        number, text = told.identity('id'), told.text(value)
        if number in found:
            raise told.wrong('id', 'an id of its own')
        found[number] = text
    twice = [text for text, count in collections.Counter(found.values()).items() if count > 1]
    if twice:
        raise errors.InputError(f'{content.where} lists the {noun} {twice[0]} twice; keep one')
    return found


def _images(path: str, listed: Mapping[ImageId, str], judged: Sequence[Judged]) -> dict[ImageId, Judged]:
    """Finds judged images by their ids in the instance file."""
    by_name = {image.file_name: image for image in judged}
    partners = names.pair(listed.values(), by_name)
    found = {number: by_name[partners[name]] for number, name in listed.items() if name in partners}
    if not found:
        raise errors.InputError(
            f'{path} lists none of the {len(judged)} judged images, such as {judged[0].file_name}; images '
            'are joined by file_name: take the instance file of the same split'
        )
    return found


def _annotation(told: fields.Fields, image: Judged, number: int) -> dict[str, Any]:
    rle = _mask(told, *image.size)
    has_area = told.told.get('area') is not None
    return {
        'image_id': image.id,
        'category_id': number,
        'segmentation': rle,
        'area': told.number('area') if has_area else float(coco_mask.area(rle)),
        'iscrowd': int(told.flag('iscrowd') or 0),
    }


def _mask(told: fields.Fields, height: int, width: int) -> masks.Rle:
    """Codes the mask of an annotation, which is a list of polygons or run-length coded, by run lengths."""
    given = told.told.get('segmentation')
    if isinstance(given, dict) and given.get('size') != [height, width]:
        raise told.wrong('segmentation', f'of the size of its image, [{height}, {width}]')
    rle = run_lengths.read(given, height, width)
    if rle is None:
        raise told.wrong(
            'segmentation', 'polygons of 6 numbers or more, or a run-length coded mask; or take it out'
        )
    return rle
