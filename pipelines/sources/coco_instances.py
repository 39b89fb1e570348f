# SPDX-License-Identifier: Apache-2.0
"""Instance files of the COCO form, alone or over maps of classes, as annotation tools export them.

`train2017/*.jpg` (or `train/`, or `images/train/`) with `annotations/instances_train2017.json` (or
`instances_train.json`). Where there is `annotations/semantic_train2017/*.png` (or `semantic_train/`) with the
category id of each pixel, instances lie over it; things there that no instance covers are crowd. An
annotation whose category is stuff is painted as such.

Source: https://cocodataset.org/#format-data, section 1 (object detection).
"""

import collections
import dataclasses
import functools
import json
import os
import posixpath
from collections.abc import Mapping, Sequence
from typing import Any

from panpipe.model import datasets, errors
from panpipe.model.storage import addresses, files
from panpipe.pipelines.sources import (
    annotations,
    documents,
    entries,
    fields,
    listing,
    names,
    painting,
    roots,
    run_lengths,
    trees,
)

PANOPTIC_FILES = ()
HAS_AREAS = False
_FORM = 'an instance JSON file of the COCO form'
_VOID = 255  # in maps of classes, beside the number that the data set has for it
_LAYOUT = 'SPLIT/*.jpg with annotations/instances_SPLIT.json'
_UNMASKED = 'annotation without mask'


@dataclasses.dataclass(frozen=True)
class Document:
    """Holds an instance file.

    Attributes:
      path: of the file.
      pictures: its images by id.
      categories: its categories by id.
      masks: of each image, by its id, in the order of the file.
      unmasked: what errors call the annotations that have no mask.
    """

    path: str
    pictures: Mapping[documents.ImageId, documents.Picture]
    categories: Mapping[int, documents.Category]
    masks: Mapping[documents.ImageId, Sequence[painting.Mask]]
    unmasked: Sequence[str]


def list_images(
    root: str | os.PathLike[str],
    split: str,
    spec: datasets.DatasetSpec,
    *,
    with_labels: bool = True,
    treat_crowd_as_ignore: bool = False,
    semantic_only: bool = False,
) -> listing.Listing:
    """Lists the images of a split, sorted by path, with their instances; 'test' has none.

    With `semantic_only` all instances are 0.

    Raises:
      errors.InputError: the folder is not laid out so, a file is missing, or the JSON file is wrong.
    """
    root = os.fspath(root)
    roots.check_folder(root)
    name, tree = _folder(root, split)
    path = _instance_file(root, name, split)
    if split == 'test' or not with_labels:
        return annotations.with_ids(tree, path) if path else annotations.images_of(tree)
    if not path:
        raise errors.InputError(
            f'{root}/annotations/instances_{name}.json is missing; put the instance file of the split there'
        )
    numbering = entries.official_numbering(spec, treat_crowd_as_ignore)
    document = read(path)
    _check(document, numbering)
    listed = annotations.with_pictures(tree, document.pictures)
    below = _semantic_maps(root, name, listed, spec, numbering)
    paint = functools.partial(
        painting.Painting,
        path,
        numbering=numbering,
        overlap=spec.overlap,
        background=spec.background,
        is_semantic=semantic_only,
    )
    found = [
        dataclasses.replace(
            entry,
            label=paint(_masks(document, entry), _size(document, entry), below=below.get(entry.image_id)),
        )
        for entry in listed
    ]
    return listing.Listing(tuple(found), {**listed.left_out, **_left_out(document, found)})


def read(path: str) -> Document:
    """Reads an instance file; masks stay coded.

    Raises:
      errors.InputError: the file is of another form, lists an image or a category twice, or an annotation has
        a wrong field or an image that the file does not list.
    """
    replacements = {'images': documents.plain_picture, 'annotations': _plain}
    content = fields.read(path, _FORM, ('images', 'annotations'), replacements)
    pictures = documents.pictures(content)
    masks = collections.defaultdict[documents.ImageId, list[painting.Mask]](list)
    unmasked = []
    for one in content.told['annotations']:
        image_id, mask = one if isinstance(one, tuple) else _annotation(content.of(one, path, 'annotation'))
        if image_id not in pictures:
            raise errors.InputError(
                f'{path}: annotation {mask.id} is of the image {image_id}, which the file does not list; add '
                'it to images, or take the annotation out'
            )
        if mask.encoded:
            masks[image_id].append(mask)
        else:
            unmasked.append(f'{mask.id} of {pictures[image_id].file_name}')
    return Document(path, pictures, documents.categories(content), masks, unmasked)


def _plain(told: Any) -> Any:
    """Makes a mask of what is as it should be; leaves all else for a closer look."""
    try:
        image_id, category, crowd = told['image_id'], told['category_id'], told.get('iscrowd')
        number, given = told['id'], told['segmentation']
    except (AttributeError, KeyError, TypeError):
        return told
    is_plain = fields.is_number(image_id) and type(category) is type(number) is int
    if not is_plain or crowd not in (0, 1, None):
        return told
    return (
        (image_id, painting.Mask(str(number), category, bool(crowd), _encoded(given)))
        if not isinstance(crowd, float)
        else told
    )


def _annotation(told: fields.Fields) -> tuple[documents.ImageId, painting.Mask]:
    number = told.identity('id') if told.told.get('id') is not None else 'without id'
    category, is_crowd = told.whole('category_id'), bool(told.flag('iscrowd'))
    mask = painting.Mask(str(number), category, is_crowd, _encoded(told.told.get('segmentation')))
    return told.identity('image_id'), mask


def _encoded(given: Any) -> bytes:
    return b'' if run_lengths.is_empty(given) else json.dumps(given, separators=(',', ':')).encode()


def _check(document: Document, numbering: entries.Numbering) -> None:
    """Refuses categories that the data set does not have, or numbers otherwise."""
    plain = documents.Document(document.path, (), {}, document.categories)
    documents.refuse_renumbered(plain, numbering.names, 'the description of the data set')
    for image_id, masks in document.masks.items():
        for mask in masks:
            if mask.category_id not in numbering.class_ids:
                raise errors.InputError(
                    f'{document.path}, image {document.pictures[image_id].file_name}: annotation {mask.id} '
                    f'is of category {mask.category_id}, which the data set does not have; correct the file '
                    'or the --dataset'
                )


def _masks(document: Document, entry: entries.ImageFile) -> tuple[painting.Mask, ...]:
    if entry.official_id is None:
        raise errors.InputError(
            f'{document.path} does not list the image {entry.path}; add it, or take the image away'
        )
    return tuple(document.masks.get(entry.official_id, ()))


def _size(document: Document, entry: entries.ImageFile) -> tuple[int, int]:
    if entry.size is None:
        raise errors.InputError(
            f'{document.path}: the image {entry.official_id} has no height and width; add them'
        )
    return entry.size


def _left_out(document: Document, found: Sequence[entries.ImageFile]) -> dict[str, list[str]]:
    known = {entry.official_id for entry in found}
    absent = [picture.file_name for image_id, picture in document.pictures.items() if image_id not in known]
    kinds = {_UNMASKED: list(document.unmasked), 'annotated image without file': absent}
    return {kind: listed for kind, listed in kinds.items() if listed}


def _semantic_maps(
    root: str,
    name: str,
    listed: listing.Listing,
    spec: datasets.DatasetSpec,
    numbering: entries.Numbering,
) -> dict[str, entries.SemanticIds]:
    """Finds the maps of classes by image id; none where no map is there.

    Raises:
      errors.InputError: only some images have one.
    """
    there = files.find(root, f'annotations/semantic_{name}/*.png')
    if not there:
        return {}
    void = frozenset((spec.official_void, _VOID))
    label = functools.partial(entries.SemanticIds, numbering=numbering, void=void)
    joined = annotations.join_maps(listed, there, '.png', label)
    return {entry.image_id: entry.label for entry in joined if isinstance(entry.label, entries.SemanticIds)}


def _folder(root: str, split: str) -> tuple[str, trees.Tree]:
    """Finds the folder of a split's images: what annotations call it, and what it holds."""
    for place in (f'{split}2017', split, f'images/{split}2017', f'images/{split}'):
        tree = trees.read(addresses.join(root, place))
        if listing.images_in(tree):
            return names.last(place), tree
    raise errors.InputError(
        f'{root} has no images of {split}: expected {_LAYOUT}, but {roots.contents(root)}; choose other '
        '--splits, or move the images'
    )


def _instance_file(root: str, *called: str) -> str | None:
    """Finds the instance file of a split by what it may be called."""
    paths = (addresses.join(root, posixpath.join('annotations', f'instances_{name}.json')) for name in called)
    return next((path for path in paths if files.exists(path)), None)
