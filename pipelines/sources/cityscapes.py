# SPDX-License-Identifier: Apache-2.0
"""The official Cityscapes layout: `leftImg8bit` and `gtFine`, as downloaded.

The annotation of an image is its `*_gtFine_instanceIds.png`; where there are none, the output of
cityscapesScripts' csCreatePanopticImgs, with train ids or with label ids; or the `*_gtFine_polygons.json` of
the annotation tool. All say the same. Where things are not told apart, it is `*_gtFine_labelIds.png`, or else
`*_gtFine_labelTrainIds.png`, or else the polygons.
"""

import dataclasses
import functools
import os
from collections.abc import Callable

from panpipe.model import datasets, errors
from panpipe.model.storage import addresses, files
from panpipe.pipelines.sources import (
    annotations,
    entries,
    label_numbers,
    listing,
    names,
    polygons,
    roots,
    trees,
)

_IMAGE_SUFFIX = '_leftImg8bit'
_LABEL_SUFFIX = '_gtFine_instanceIds.png'
_SEMANTIC_SUFFIXES = ('_gtFine_labelIds.png', '_gtFine_labelTrainIds.png')
_VOID_TRAIN_ID = 255
_LAYOUT = 'leftImg8bit/SPLIT/CITY/*_leftImg8bit.png with gtFine/SPLIT/CITY/*_gtFine_instanceIds.png'


def list_images(
    root: str | os.PathLike[str],
    split: str,
    spec: datasets.DatasetSpec,
    *,
    with_labels: bool = True,
    treat_crowd_as_ignore: bool = False,
    semantic_only: bool = False,
) -> listing.Listing:
    """Lists the images of a split, sorted by path, with their annotations; 'test' has none.

    With `semantic_only`, instances are neither needed nor read.

    Raises:
      errors.InputError: the folder is not laid out so, or a file is missing.
    """
    root = os.fspath(root)
    roots.check_folder(root)
    found = _images(root, split)
    if split == 'test' or not with_labels:
        return found
    numbering = entries.official_numbering(spec, treat_crowd_as_ignore)
    if semantic_only:
        return _with_semantic_ids(found, root, split, spec, numbering)
    maps = files.find(root, f'gtFine/{split}/*/*{_LABEL_SUFFIX}')
    if maps:
        label = functools.partial(entries.InstanceIds, numbering=numbering, void=label_numbers.void(spec))
        joined = annotations.join_maps(found, maps, _LABEL_SUFFIX, label)
        _check(joined, spec, have_instances=True)
        return joined
    return _with_panoptic_pngs(found, root, split, spec, numbering)


def _images(root: str, split: str) -> listing.Listing:
    """Lists image files by the places that Cityscapes has for them."""
    tree = trees.read(addresses.join(root, 'leftImg8bit', split))
    ids = {path: names.last(path).removesuffix(_IMAGE_SUFFIX) for path in tree.files if _is_image(path)}
    if not ids:
        raise errors.InputError(_nothing(root, split))
    return listing.Listing(tuple(listing.entries_of(ids, tree.root, ids)), listing.left_out(tree, ids))


def _is_image(path: str) -> bool:
    return path.count('/') == 1 and listing.is_image(path) and names.last(path).endswith(_IMAGE_SUFFIX)


def _with_semantic_ids(
    found: listing.Listing,
    root: str,
    split: str,
    spec: datasets.DatasetSpec,
    numbering: entries.Numbering,
) -> listing.Listing:
    forms = (
        (numbering, label_numbers.void(spec)),
        (_by_train_id(numbering), frozenset({_VOID_TRAIN_ID})),
    )
    for suffix, (classes, void) in zip(_SEMANTIC_SUFFIXES, forms, strict=True):
        maps = files.find(root, f'gtFine/{split}/*/*{suffix}')
        if maps:
            label = functools.partial(entries.SemanticIds, numbering=classes, void=void)
            joined = annotations.join_maps(found, maps, suffix, label)
            if classes is numbering:
                _check(joined, spec, have_instances=False)
            return joined
    if drawn := polygon_files(root, split):
        return annotations.join_maps(found, drawn, polygons.SUFFIX, _drawn(spec, numbering, is_semantic=True))
    wanted = ' or '.join(f'*{suffix}' for suffix in _SEMANTIC_SUFFIXES)
    raise errors.InputError(
        f'{root} has images but no classes of {split}: expected gtFine/{split}/CITY/{wanted}; '
        'unpack gtFine_trainvaltest.zip there'
    )


def _check(joined: listing.Listing, spec: datasets.DatasetSpec, *, have_instances: bool) -> None:
    paths = [one.label.path for one in joined if one.label]
    if paths and label_numbers.is_official(spec):
        label_numbers.check_split(paths, have_instances=have_instances)


def _by_train_id(numbering: entries.Numbering) -> entries.Numbering:
    return dataclasses.replace(numbering, class_ids={i: i for i in numbering.class_ids.values()})


def _with_panoptic_pngs(
    found: listing.Listing,
    root: str,
    split: str,
    spec: datasets.DatasetSpec,
    numbering: entries.Numbering,
) -> listing.Listing:
    forms = {
        addresses.join(root, 'gtFine', f'cityscapes_panoptic_{split}_trainId.json'): _by_train_id(numbering),
        addresses.join(root, 'gtFine', f'cityscapes_panoptic_{split}.json'): numbering,
    }
    for path, classes in forms.items():
        if files.exists(path):
            return annotations.join_panoptic(found, path, classes)
    if drawn := polygon_files(root, split):
        return annotations.join_maps(found, drawn, polygons.SUFFIX, _drawn(spec, numbering))
    semantic = [s for s in _SEMANTIC_SUFFIXES if files.find(root, f'gtFine/{split}/*/*{s}')]
    cure = f', or take the classes of *{semantic[0]} alone with --semantic_only' if semantic else ''
    raise errors.InputError(
        f'{root} has images but no annotations of {split}: expected gtFine/{split}/CITY/*{_LABEL_SUFFIX}, '
        f'*{polygons.SUFFIX} or gtFine/cityscapes_panoptic_{split}_trainId.json; unpack '
        f'gtFine_trainvaltest.zip there{cure}'
    )


def polygon_files(root: str, split: str) -> list[str]:
    """Finds the files of polygons of a split, sorted."""
    return files.find(root, f'gtFine/{split}/*/*{polygons.SUFFIX}')


def drawing(path: str, spec: datasets.DatasetSpec) -> polygons.Drawing:
    """Names a file of polygons."""
    return _drawn(spec, entries.official_numbering(spec))(path)


def _drawn(
    spec: datasets.DatasetSpec, numbering: entries.Numbering, *, is_semantic: bool = False
) -> Callable[[str], polygons.Drawing]:
    """Makes labels of files of polygons."""
    known = polygons.Names.of(spec, tells_apart=not is_semantic)
    return lambda path: polygons.Drawing(
        entries.InstanceIds(path, numbering, label_numbers.void(spec)), known
    )


def _nothing(root: str, split: str) -> str:
    if files.exists(addresses.join(root, 'annotations')):
        held = roots.contents(root)
        return f'{root} looks like COCO, not like Cityscapes ({held}); try --dataset coco_panoptic'
    if files.exists(addresses.join(root, 'leftImg8bit')):
        there = roots.contents(addresses.join(root, 'leftImg8bit'))
        return f'{root}/leftImg8bit has no images of {split} ({there}); choose other --splits'
    return f'{root} is not laid out like Cityscapes: expected {_LAYOUT}, but {roots.contents(root)}'


def instance_ids(path: str, spec: datasets.DatasetSpec) -> entries.InstanceIds:
    """Names an instance-id PNG."""
    return entries.InstanceIds(path, entries.official_numbering(spec), label_numbers.void(spec))
