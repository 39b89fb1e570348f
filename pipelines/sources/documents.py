# SPDX-License-Identifier: Apache-2.0
"""Panoptic JSON files of the COCO form, of ground truth and of predictions: checked, and typed.

Source: https://cocodataset.org/#format-data, section 4 (panoptic segmentation).
"""

import collections
import dataclasses
import functools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from panpipe.model import errors, labels
from panpipe.pipelines.sources import fields, names, segment_lists, streams

_FORM = 'a panoptic JSON file of the COCO form'
_COLORS = 256**3
ImageId = str | int


@dataclasses.dataclass(frozen=True, slots=True)
class Picture:
    """Holds an entry of `images`: the file of an image, and its (height, width) if that is told."""

    file_name: str
    size: tuple[int, int] | None = None


@dataclasses.dataclass(frozen=True)
class Category:
    """Holds an entry of `categories`; name and is_thing are None where the file does not tell."""

    id: int
    name: str | None
    is_thing: bool | None


@dataclasses.dataclass(frozen=True, slots=True)
class Annotation:
    """Holds an entry of `annotations`.

    Attributes:
      image_id: joins it with the image; the name of the PNG where the file does not tell.
      file_name: of its PNG.
      segments: in the order of the file; area -1 where the file does not tell.
    """

    image_id: ImageId
    file_name: str
    segments: Sequence[labels.Segment]


@dataclasses.dataclass(frozen=True)
class Document:
    """Holds a file.

    Attributes:
      path: of the file.
      annotations: one an image.
      images: by id; empty where the file lists none.
      categories: by id; empty where the file lists none.
    """

    path: str
    annotations: tuple[Annotation, ...]
    images: Mapping[ImageId, Picture]
    categories: Mapping[int, Category]

    def image_name(self, annotation: Annotation) -> str:
        """Returns the file name of an annotation's image: that of `images`, else that of the PNG."""
        picture = self.images.get(annotation.image_id)
        return picture.file_name if picture else annotation.file_name


def read(path: str, *, has_areas: bool = True) -> Document:
    """Reads a file.

    Args:
      path: of the JSON file.
      has_areas: segments state their areas, as ground truth must and predictions need not.

    Raises:
      errors.InputError: the file is no such JSON, names an image, a segment or a category twice, or has a
        value of a wrong type.
    """
    plain = functools.partial(_plain, has_areas=has_areas)
    replacements: streams.Replacements = {'annotations': plain, 'images': plain_picture}
    content = fields.read(path, _FORM, ('annotations',), replacements)
    found = tuple(
        one if isinstance(one, Annotation) else _annotation(content.of(one, path, 'annotation'), has_areas)
        for one in content.told['annotations']
    )
    _refuse_twins([annotation.image_id for annotation in found], path)
    listed = pictures(content)
    _refuse_unlisted(found, listed, path)
    return Document(path, found, listed, categories(content))


def read_images(path: str) -> dict[ImageId, Picture]:
    """Reads the entries of `images` by id: of a panoptic file, or of one that describes images alone.

    Without such a list the names of PNGs stand for those of images.

    Raises:
      errors.InputError: as `read`.
    """
    content = fields.read(path, 'a JSON file of the COCO form', (), {'images': plain_picture})
    images = pictures(content)
    if images or content.told.get('annotations') is None:
        return images
    told = content.objects('annotations', 'annotation')
    return {
        one.identity('image_id'): Picture(one.text('file_name')) for one in told if 'file_name' in one.told
    }


def categories(content: fields.Fields) -> dict[int, Category]:
    """Reads the entries of `categories` by id.

    Raises:
      errors.InputError: one is given twice, or has a value of a wrong type.
    """
    found = list(map(_category, _listed(content, 'categories', 'category')))
    for number, count in collections.Counter(category.id for category in found).items():
        if count > 1:
            raise errors.InputError(f'{content.where} lists the category {number} twice; keep one')
    return {category.id: category for category in found}


def refuse_renumbered(document: Document, known: Mapping[int, str], where: str) -> None:
    """Refuses a file that numbers categories otherwise than something that it is used with.

    Args:
      document: the file.
      known: names of categories by their numbers there; a name that is not among them is no matter.
      where: what these are of.

    Raises:
      errors.InputError: a category has the name of another one there.
    """
    numbers = collections.defaultdict[str, set[int]](set)
    for number, name in known.items():
        numbers[name].add(number)
    for category in document.categories.values():
        there = numbers.get(category.name or '', {category.id})
        if category.id not in there:
            raise errors.InputError(
                f'{document.path}: category {category.id} is {category.name!r}, which has the number '
                f'{min(there)} in {where}; both must number categories alike'
            )


def refuse_other_kinds(document: Document, things: Mapping[int, bool], where: str) -> None:
    """Refuses a file that takes for stuff what is a thing in something that it is used with, or the reverse.

    Args:
      document: the file.
      things: whether a category is a thing there, by its number.
      where: what these are of.

    Raises:
      errors.InputError: there is such a category.
    """
    for category in document.categories.values():
        is_thing = things.get(category.id, category.is_thing)
        if category.is_thing is not None and category.is_thing != is_thing:
            kind = 'a thing' if is_thing else 'stuff'
            raise errors.InputError(
                f'{document.path}: category {category.id} has isthing {int(category.is_thing)}, but is '
                f'{kind} in {where}; correct one of them'
            )


def _listed(content: fields.Fields, name: str, noun: str) -> Sequence[fields.Fields]:
    return list(content.objects(name, noun)) if content.told.get(name) is not None else []


def _refuse_twins(ids: Sequence[ImageId], path: str) -> None:
    for number, count in collections.Counter(ids).items():
        if count > 1:
            raise errors.InputError(f'{path} lists the image {number} twice; keep one annotation of it')


def _refuse_unlisted(annotations: Sequence[Annotation], images: Mapping[ImageId, Picture], path: str) -> None:
    """Refuses an annotation whose image the file does not list, where it lists images."""
    for annotation in annotations if images else ():
        if annotation.image_id not in images:
            raise errors.InputError(
                f'{path}: the annotation {annotation.file_name} has the image_id '
                f'{fields.short(annotation.image_id)}, which no entry of images has, such as '
                f'{fields.short(next(iter(images)))}; correct one of them'
            )


def pictures(content: fields.Fields) -> dict[ImageId, Picture]:
    """Reads the entries of `images` by id, which `plain_picture` may have made small.

    Raises:
      errors.InputError: one is given twice, or has a value of a wrong type.
    """
    listed = list(_pictures(content))
    found = dict(listed)
    if len(found) < len(listed):
        number = next(i for i, count in collections.Counter(i for i, _ in listed).items() if count > 1)
        raise errors.InputError(f'{content.where} lists the image {number} twice in images; keep one entry')
    names_of = collections.Counter(picture.file_name for picture in found.values())
    if len(names_of) < len(found):
        name = names_of.most_common(1)[0][0]
        raise errors.InputError(f'{content.where} lists the file {name} twice in images; keep one entry')
    return found


def _pictures(content: fields.Fields) -> Iterator[tuple[ImageId, Picture]]:
    if content.told.get('images') is None:
        return
    if not isinstance(content.told['images'], list):
        raise content.wrong('images', 'a list')
    for one in content.told['images']:
        yield one if isinstance(one, tuple) else _picture(content.of(one, content.where, 'image'))


def plain_picture(told: Any) -> Any:
    """Makes an entry of `images` of what is as it should be; leaves all else for a closer look."""
    try:
        image_id, name, size = told['id'], told['file_name'], (told['height'], told['width'])
    except (IndexError, KeyError, TypeError):
        return told
    if not fields.is_number(image_id) or not _is_name(name) or any(type(side) is not int for side in size):
        return told
    return image_id, Picture(name, size)


def _plain(told: Any, has_areas: bool) -> Any:
    """Makes an annotation of what is as it should be; leaves all else for a closer look."""
    try:
        image_id, name, listed = told['image_id'], told['file_name'], told['segments_info']
    except (IndexError, KeyError, TypeError):
        return told
    segments = segment_lists.Segments.of(listed, has_areas)
    if segments is None or not _is_name(name) or not (fields.is_number(image_id) or _is_name(image_id)):
        return told
    return Annotation(image_id, name, segments)


def _is_name(told: Any) -> bool:
    return type(told) is str and bool(told) and fields.is_printable(told)


def _picture(told: fields.Fields) -> tuple[ImageId, Picture]:
    size = None
    if told.told.get('height') is not None and told.told.get('width') is not None:
        size = told.pixels('height'), told.pixels('width')
    return told.identity('id'), Picture(told.text('file_name'), size)


def _category(told: fields.Fields) -> Category:
    has_name = told.told.get('name') is not None
    return Category(told.whole('id'), told.text('name') if has_name else None, told.flag('isthing'))


def _annotation(told: fields.Fields, has_areas: bool) -> Annotation:
    file_name = told.text('file_name')
    image_id = told.identity('image_id') if 'image_id' in told.told else names.last(file_name)
    where = f'{told.where}, image {image_id}'
    inner = dataclasses.replace(told, where=where)
    segments = tuple(_segment(one, has_areas) for one in inner.objects('segments_info', 'segment'))
    seen = set[int]()
    for segment in segments:
        if segment.id in seen:
            raise errors.InputError(f'{where}: segment {segment.id} is listed twice; correct the file')
        if not 0 < segment.id < _COLORS:
            raise errors.InputError(
                f'{where}: segment {segment.id} has an id outside 1 .. {_COLORS - 1}; correct the file'
            )
        seen.add(segment.id)
    return Annotation(image_id, file_name, segments)


def _segment(told: fields.Fields, has_areas: bool) -> labels.Segment:
    area: Any = told.number('area') if has_areas or 'area' in told.told else -1
    return labels.Segment(told.whole('id'), told.whole('category_id'), area, bool(told.flag('iscrowd')))
