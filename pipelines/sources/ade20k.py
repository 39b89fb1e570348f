# SPDX-License-Identifier: Apache-2.0
"""ADE20K panoptic, as Mask2Former's `prepare_ade20k_pan_seg.py` leaves it.

`images/training/*.jpg`, `ade20k_panoptic_train.json` and the folder of PNGs beside it. Where things are not
told apart, `annotations/training/*.png` of the scene parsing challenge (2016) hold the class of each pixel.
"""

import dataclasses
import functools
import os

from panpipe.model import datasets, errors
from panpipe.model.storage import addresses, files
from panpipe.pipelines.sources import annotations, entries, listing, roots, trees

PANOPTIC_FILES = ('ade20k_panoptic_{}.json',)
HAS_AREAS = False  # Mask2Former's script leaves the numbers of pixels out
_FOLDERS = {'train': 'training', 'val': 'validation'}


def list_images(
    root: str | os.PathLike[str],
    split: str,
    spec: datasets.DatasetSpec,
    *,
    with_labels: bool = True,
    treat_crowd_as_ignore: bool = False,
    semantic_only: bool = False,
) -> listing.Listing:
    """Lists the images of a split, sorted by path, with their annotations, semantic-only if `semantic_only`.

    Raises:
      errors.InputError: the folder is not laid out so, a file is missing, or the JSON file is wrong.
    """
    root = os.fspath(root)
    roots.check_folder(root)
    folder = f'images/{_FOLDERS.get(split, split)}'
    tree = trees.read(addresses.join(root, folder))
    found = annotations.images_of(tree)
    if not found:
        raise errors.InputError(
            f'{root} is not laid out like ADE20K: expected {folder}/*.jpg with ade20k_panoptic_{split}.json '
            f'and ade20k_panoptic_{split}/*.png, but {roots.contents(root)}'
        )
    if not with_labels:
        return found
    if semantic_only:
        return _with_semantic_ids(found, root, folder, spec)
    path = addresses.join(root, f'ade20k_panoptic_{split}.json')
    if not files.exists(path):
        raise errors.InputError(f"{path} is missing; make it with Mask2Former's prepare_ade20k_pan_seg.py")
    numbering = entries.official_numbering(spec, treat_crowd_as_ignore)
    classes = {**numbering.class_ids, spec.official_void: spec.labels.ignore_label}
    numbering = dataclasses.replace(numbering, class_ids=classes)
    return annotations.with_panoptic(tree, path, numbering, has_areas=False)


def _with_semantic_ids(
    found: listing.Listing, root: str, folder: str, spec: datasets.DatasetSpec
) -> listing.Listing:
    pattern = f'{folder.replace("images", "annotations", 1)}/*.png'
    maps = files.find(root, pattern)
    if not maps:
        raise errors.InputError(f'{root} has images but no {pattern}; unpack ADEChallengeData2016.zip there')
    # The challenge numbers classes from 1 as we do, with 0 for void.
    numbering = entries.Numbering({i: i for i in spec.by_id}, spec.labels)
    label = functools.partial(
        entries.SemanticIds, numbering=numbering, void=frozenset({spec.labels.ignore_label})
    )
    return annotations.join_maps(found, maps, '.png', label)
