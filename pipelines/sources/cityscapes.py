# SPDX-License-Identifier: Apache-2.0
"""The official Cityscapes layout: `leftImg8bit` and `gtFine`, as downloaded.

The annotation of an image is its `*_gtFine_instanceIds.png`; where there are none, the output of
cityscapesScripts' csCreatePanopticImgs, with train ids or with label ids. Both say the same.
"""

import dataclasses
import os
from collections.abc import Mapping, Sequence
from typing import Any

from panpipe.model import datasets, errors
from panpipe.pipelines.sources import annotations, entries, files

load = entries.load

_IMAGE_SUFFIX = '_leftImg8bit'
_LABEL_SUFFIX = '_gtFine_instanceIds.png'
_LAYOUT = 'leftImg8bit/SPLIT/CITY/*_leftImg8bit.png with gtFine/SPLIT/CITY/*_gtFine_instanceIds.png'


def list_images(
    root: str | os.PathLike[str],
    split: str,
    spec: datasets.DatasetSpec,
    *,
    with_labels: bool = True,
    treat_crowd_as_ignore: bool = False,
) -> list[entries.ImageFile]:
    """Lists the images of a split, sorted by path, with their annotations; 'test' has none.

    Raises:
      errors.InputError: the folder is not laid out so, or a file is missing.
    """
    root = os.fspath(root)
    files.check_folder(root)
    paths = files.find(root, f'leftImg8bit/{split}/*/*{_IMAGE_SUFFIX}.png')
    if not paths:
        raise errors.InputError(_nothing(root, split))
    found = annotations.image_files(paths, lambda path: annotations.stem(path).removesuffix(_IMAGE_SUFFIX))
    if split == 'test' or not with_labels:
        return found
    maps = files.find(root, f'gtFine/{split}/*/*{_LABEL_SUFFIX}')
    numbering = entries.official_numbering(spec, treat_crowd_as_ignore)
    if maps:
        return _with_instance_ids(found, maps, numbering)
    return _with_panoptic_pngs(found, root, split, numbering)


def _with_instance_ids(
    found: Sequence[entries.ImageFile], maps: Sequence[str], numbering: entries.Numbering
) -> list[entries.ImageFile]:
    by_image = {os.path.basename(path).removesuffix(_LABEL_SUFFIX): path for path in maps}
    missing = [entry for entry in found if entry.image_id not in by_image]
    if missing:
        raise errors.InputError(
            f'{len(missing)} of {len(found)} images have no {missing[0].image_id}{_LABEL_SUFFIX} '
            f'(beside {maps[0]}); unpack all of gtFine, or take those images away'
        )
    return [
        dataclasses.replace(entry, label=entries.InstanceIds(by_image[entry.image_id], numbering))
        for entry in found
    ]


def _with_panoptic_pngs(
    found: Sequence[entries.ImageFile], root: str, split: str, numbering: entries.Numbering
) -> list[entries.ImageFile]:
    by_train_id = dataclasses.replace(numbering, class_ids={i: i for i in numbering.class_ids.values()})
    forms = {
        files.join(root, 'gtFine', f'cityscapes_panoptic_{split}_trainId.json'): by_train_id,
        files.join(root, 'gtFine', f'cityscapes_panoptic_{split}.json'): numbering,
    }
    for path, classes in forms.items():
        if files.exists(path):
            return annotations.join(found, path, _image_id, classes)
    raise errors.InputError(
        f'{root} has images but no annotations of {split}: expected gtFine/{split}/CITY/*{_LABEL_SUFFIX} or '
        f'gtFine/cityscapes_panoptic_{split}_trainId.json; unpack gtFine_trainvaltest.zip there'
    )


def _image_id(annotation: Mapping[str, Any]) -> str:
    return str(annotation['image_id'])


def _nothing(root: str, split: str) -> str:
    if files.exists(files.join(root, 'annotations')):
        held = files.contents(root)
        return f'{root} looks like COCO, not like Cityscapes ({held}); try --dataset coco_panoptic'
    if files.exists(files.join(root, 'leftImg8bit')):
        there = files.contents(files.join(root, 'leftImg8bit'))
        return f'{root}/leftImg8bit has no images of {split} ({there}); choose other --splits'
    return f'{root} is not laid out like Cityscapes: expected {_LAYOUT}, but {files.contents(root)}'
