# SPDX-License-Identifier: Apache-2.0
"""Joins the images of a split with their annotations: a panoptic JSON file with PNGs, or a map an image."""

import dataclasses
import posixpath
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

from panpipe.model import errors
from panpipe.model.storage import addresses
from panpipe.pipelines.sources import documents, entries, listing, names, segment_lists, trees

_DESCRIPTION = 'the description of the data set'
_UNANNOTATED = 'annotation without image'


def images_of(tree: trees.Tree) -> listing.Listing:
    """Lists the image files that lie in a folder, sorted; those in its sub-folders are left out."""
    taken = [path for path in listing.images_in(tree) if '/' not in path]
    return listing.Listing(tuple(listing.entries_of(taken, tree.root)), listing.left_out(tree, taken))


def images_below(folder: str) -> listing.Listing:
    """Lists the image files of a folder and of its sub-folders; their ids are the names of files alone."""
    tree = trees.read(folder)
    taken = listing.images_in(tree)
    found = listing.entries_of(taken, folder, {path: names.last(path) for path in taken})
    return listing.Listing(tuple(found), listing.left_out(tree, taken))


def with_ids(tree: trees.Tree, json_path: str) -> listing.Listing:
    """Lists the image files of a folder with the ids that a JSON file gives them.

    Those that it does not list have none; it decides which lie in sub-folders.

    Raises:
      errors.InputError: as `documents.read_images`.
    """
    return with_pictures(tree, documents.read_images(json_path))


def with_pictures(
    tree: trees.Tree, pictures: Mapping[documents.ImageId, documents.Picture]
) -> listing.Listing:
    """Lists the image files of a folder with ids and sizes from a JSON file, as `with_ids`."""
    by_name = {picture.file_name: image_id for image_id, picture in pictures.items()}
    ids = {path: by_name[name] for name, path in _partners(by_name, tree).items()}
    taken = [path for path in listing.images_in(tree) if '/' not in path or path in ids]
    found = []
    for path, entry in zip(taken, listing.entries_of(taken, tree.root), strict=True):
        image_id = ids.get(path)
        size = None if image_id is None else pictures[image_id].size
        found.append(dataclasses.replace(entry, official_id=image_id, size=size))
    return listing.Listing(tuple(found), listing.left_out(tree, taken))


def with_panoptic(
    tree: trees.Tree,
    json_path: str,
    numbering: entries.Numbering,
    has_areas: bool = True,
    folder: str | None = None,
) -> listing.Listing:
    """Lists images with the annotations of a panoptic JSON file.

    Annotations of other images are left out, so that a part of a data set can be used.

    Args:
      tree: folder of the images; its sub-folders count where the JSON file names them.
      json_path: of the annotations.
      numbering: the classes that may occur.
      has_areas: segments state their areas; else those are not looked at.
      folder: of the PNGs; that of the file's name unless told.

    Raises:
      errors.InputError: an image has no annotation, or an annotation no PNG; an annotation has an unknown
        class or a crowd of stuff; and as `documents.read`.
    """
    document = documents.read(json_path, has_areas=has_areas)
    documents.refuse_renumbered(document, numbering.names, _DESCRIPTION)
    documents.refuse_other_kinds(document, _things(numbering), _DESCRIPTION)
    by_name = named(document)
    by_path = {path: by_name[name] for name, path in _partners(by_name, tree).items()}
    taken = [p for p in listing.images_in(tree) if p in by_path or '/' not in p or not by_path]
    found = listing.entries_of(taken, tree.root)
    annotated = [by_path.get(path) for path in taken]
    folder = folder or json_path.removesuffix('.json')
    joined = _labelled(document, folder, found, annotated, numbering, has_areas)
    named_ids = [
        dataclasses.replace(entry, official_id=annotation.image_id)
        for entry, annotation in zip(joined, annotated, strict=True)
        if annotation
    ]
    known = {entry.official_id for entry in named_ids}
    rest = [name for name, annotation in by_name.items() if annotation.image_id not in known]
    return _listed(named_ids, listing.left_out(tree, taken), rest)


def _things(numbering: entries.Numbering) -> dict[int, bool]:
    """Tells whether a class is a thing, by its number in the files; void is neither."""
    codec = numbering.codec
    return {i: own in codec.thing_ids for i, own in numbering.class_ids.items() if own != codec.ignore_label}


def join_panoptic(found: listing.Listing, json_path: str, numbering: entries.Numbering) -> listing.Listing:
    """Adds to images the annotations of a panoptic JSON file that calls them by their names, as Cityscapes.

    Raises:
      errors.InputError: as `with_panoptic`.
    """
    document = documents.read(json_path)
    by_id = {names.normal(str(annotation.image_id)): annotation for annotation in document.annotations}
    annotated = [by_id.get(entry.image_id) for entry in found]
    folder = json_path.removesuffix('.json')
    joined = _labelled(document, folder, found, annotated, numbering, has_areas=True)
    return _listed(joined, found.left_out, sorted(by_id.keys() - {entry.image_id for entry in found}))


def _labelled(
    document: documents.Document,
    folder: str,
    found: Sequence[entries.ImageFile],
    annotated: Sequence[documents.Annotation | None],
    numbering: entries.Numbering,
    has_areas: bool,
) -> list[entries.ImageFile]:
    """Adds to each image the label that its annotation describes."""
    pngs = png_paths([annotation.file_name for annotation in document.annotations], folder)
    joined = []
    for entry, annotation in zip(found, annotated, strict=True):
        if annotation is None:
            raise errors.InputError(
                f'{document.path} has no annotation of the image {entry.path}; add one, or take the image '
                'away'
            )
        if annotation.file_name not in pngs:
            raise missing_png(document, folder, annotation.file_name)
        label = label_of(document, annotation, pngs[annotation.file_name], numbering, has_areas)
        joined.append(dataclasses.replace(entry, label=label))
    return joined


def named(document: documents.Document) -> dict[str, documents.Annotation]:
    """Returns annotations by the file names of their images.

    Raises:
      errors.InputError: two are of one image.
    """
    found: dict[str, documents.Annotation] = {}
    for annotation in document.annotations:
        name = document.image_name(annotation)
        if name in found:
            raise errors.InputError(
                f'{document.path} annotates the image {names.without_ending(name)} twice; keep one annotation'
            )
        found[name] = annotation
    return found


def label_of(
    document: documents.Document,
    annotation: documents.Annotation,
    png: str,
    numbering: entries.Numbering,
    has_areas: bool,
) -> entries.PanopticPng:
    """Makes the label of an image, and checks what can be seen without the PNG.

    Raises:
      errors.InputError: a segment is of an unknown class, or a crowd of stuff; or a class has too many.
    """
    label = entries.PanopticPng(png, annotation.segments, numbering, has_areas)
    segments = annotation.segments
    if (
        isinstance(segments, segment_lists.Segments)
        and len(segments) < numbering.codec.label_divisor
        and segments.are_plain(numbering.class_ids)
    ):
        return label
    where = f'{document.path}, image {names.without_ending(document.image_name(annotation))}'
    for segment in segments:
        class_id = numbering.class_ids.get(segment.category_id)
        problem = None
        if class_id is None:
            problem = f'is of category {segment.category_id}, which the data set does not have'
        elif segment.is_crowd and class_id not in (numbering.codec.ignore_label, *numbering.codec.thing_ids):
            problem = f'is a crowd of category {segment.category_id}, which is stuff'
        if problem:
            raise errors.InputError(
                f'{where}: segment {segment.id} {problem}; correct the file or the --dataset'
            )
    numbering.panoptic_ids(segments, where)
    return label


def png_paths(wanted: Iterable[str], folder: str) -> dict[str, str]:
    """Finds the PNGs in a folder that annotations name: path by file name, of those that are there."""
    there = [path for path in trees.read(folder).files if path.lower().endswith('.png')]
    found = names.pair(dict.fromkeys(wanted), there)
    return {name: addresses.join(folder, path) for name, path in found.items()}


def missing_png(document: documents.Document, folder: str, file_name: str) -> errors.InputError:
    """Makes the error of a PNG that is not there."""
    return errors.InputError(
        f'{addresses.join(folder, file_name)} is missing, but {document.path} names it; unpack all of the '
        'annotations'
    )


def join_maps(
    found: listing.Listing,
    paths: Sequence[str],
    suffix: str,
    label: Callable[[str], entries.LabelFile],
    *,
    key: Callable[[str], str] = posixpath.basename,
) -> listing.Listing:
    """Adds to images the label maps that are called as they are, but for `suffix`.

    Args:
      found: the images.
      paths: of label maps, at least one; those of other images are left out.
      suffix: what follows the image id in their names, with the ending.
      label: makes the annotation from a path.
      key: makes of an image id, and of a path, what both share: the name without folders unless told.

    Raises:
      errors.InputError: an image has no label map.
    """
    by_image = {names.normal(key(path)).removesuffix(suffix): path for path in paths}
    wanted = [key(entry.image_id) for entry in found]
    missing = [name for name in wanted if name not in by_image]
    if missing:
        raise errors.InputError(
            f'{len(missing)} of {len(found)} images have no {missing[0]}{suffix} '
            f'(beside {paths[0]}); unpack all of the annotations, or take those images away'
        )
    joined = [
        dataclasses.replace(entry, label=label(by_image[name]))
        for entry, name in zip(found, wanted, strict=True)
    ]
    return _listed(joined, found.left_out, sorted(by_image.keys() - set(wanted)))


def _partners(by_name: Collection[str], tree: trees.Tree) -> dict[str, str]:
    """Finds the image files that names of an annotation file mean; sub-folders only where a name has one."""
    found = names.pair(by_name, listing.images_in(tree))
    return {name: path for name, path in found.items() if '/' not in path or '/' in names.normal(name)}


def _listed(
    found: Sequence[entries.ImageFile], left_out: Mapping[str, Sequence[str]], unannotated: Sequence[str]
) -> listing.Listing:
    rest = {_UNANNOTATED: unannotated} if unannotated else {}
    return listing.Listing(tuple(found), {**left_out, **rest})
