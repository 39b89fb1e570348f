# SPDX-License-Identifier: Apache-2.0
"""The official COCO panoptic layout, which custom data sets may use too.

`train2017/*.jpg` (or `train/`), `annotations/panoptic_train2017.json` and the folder of PNGs beside it.
For semantic-only networks, `annotations/semantic_train2017/*.png` hold the category id of each pixel, as
panopticapi's `panoptic2semantic_segmentation.py` writes them.
"""

import functools
import os

from panpipe.model import datasets, errors
from panpipe.model.storage import addresses, files
from panpipe.pipelines.sources import annotations, entries, listing, roots, trees

# Beside the number that the data set has for it.
_VOID = 255
# JSON files that tell the ids of a split's images.
_DESCRIPTIONS = ('panoptic', 'image_info', 'instances')
# The ground truth of a split.
PANOPTIC_FILES = ('annotations/panoptic_{}2017.json', 'annotations/panoptic_{}.json')
HAS_AREAS = True  # and states how many pixels a segment has
_LAYOUT = 'SPLIT2017/*.jpg with annotations/panoptic_SPLIT2017.json and annotations/panoptic_SPLIT2017/*.png'


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

    Folders are called `train2017` or simply `train`. With `semantic_only` the annotations are label maps.

    Raises:
      errors.InputError: the folder is not laid out so, a file is missing, or the JSON file is wrong.
    """
    root = os.fspath(root)
    roots.check_folder(root)
    name, tree = _folder(root, split)
    if split == 'test' or not with_labels:
        return _described(root, name, tree)
    numbering = entries.official_numbering(spec, treat_crowd_as_ignore)
    if semantic_only:
        label = functools.partial(
            entries.SemanticIds, numbering=numbering, void=frozenset((spec.official_void, _VOID))
        )
        return annotations.join_maps(_described(root, name, tree), _semantic_maps(root, name), '.png', label)
    path = addresses.join(root, 'annotations', f'panoptic_{name}.json')
    if not files.exists(path):
        raise errors.InputError(
            f'{path} is missing; unpack panoptic_annotations_trainval2017.zip, and the archives in it, there'
        )
    return annotations.with_panoptic(tree, path, numbering)


def _folder(root: str, split: str) -> tuple[str, trees.Tree]:
    """Finds the folder of a split's images: its name and what it holds."""
    for name in (f'{split}2017', split):
        tree = trees.read(addresses.join(root, name))
        if listing.images_in(tree):
            return name, tree
    raise errors.InputError(_nothing(root, split))


def _described(root: str, name: str, tree: trees.Tree) -> listing.Listing:
    """Lists images without annotations, with their ids where a JSON file tells them."""
    for kind in _DESCRIPTIONS:
        path = addresses.join(root, 'annotations', f'{kind}_{name}.json')
        if files.exists(path):
            return annotations.with_ids(tree, path)
    return annotations.images_of(tree)


def _semantic_maps(root: str, name: str) -> list[str]:
    found = files.find(root, f'annotations/semantic_{name}/*.png')
    if not found:
        raise errors.InputError(
            f'{root}/annotations/semantic_{name} has no *.png with the category id of each pixel; put them '
            "there, panopticapi's panoptic2semantic_segmentation.py makes them"
        )
    return found


def _nothing(root: str, split: str) -> str:
    if files.exists(addresses.join(root, 'leftImg8bit')):
        held = roots.contents(root)
        return f'{root} looks like Cityscapes, not like COCO ({held}); try --dataset cityscapes_panoptic'
    if files.exists(addresses.join(root, 'annotations')):
        return f'{root} has no images of {split} in {split}2017/ or {split}/ ({roots.contents(root)})'
    return f'{root} is not laid out like COCO: expected {_LAYOUT}, but {roots.contents(root)}'
