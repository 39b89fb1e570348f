# SPDX-License-Identifier: Apache-2.0
"""KITTI-STEP and MOTChallenge-STEP: frames of sequences with their panoptic maps.

`images/SPLIT/SEQUENCE/*.png` (or `*.jpg`, also in `SEQUENCE/img1/`, where MOTChallenge has them) with
`panoptic_maps/SPLIT/SEQUENCE/*.png`. In a map red is the class and 256 * green + blue the number of a thing,
which it keeps through its sequence; a thing without a number is crowd.

Source: Weber et al., STEP: Segmenting and Tracking Every Pixel (NeurIPS 2021), and the instructions of
DeepLab2, g3doc/setup/kitti_step.md and motchallenge_step.md.
"""

import dataclasses
import os

import numpy as np

from panpipe.model import datasets, errors
from panpipe.model.storage import addresses, files
from panpipe.pipelines.sources import annotations, entries, images, listing, names, roots, trees

PANOPTIC_FILES = ()
HAS_AREAS = False
_FRAMES = 'img1'  # folder of a sequence's frames as MOTChallenge packs them
_UNKNOWN = -1
_LAYOUT = 'images/SPLIT/SEQUENCE/*.png with panoptic_maps/SPLIT/SEQUENCE/*.png'


@dataclasses.dataclass(frozen=True)
class Map:
    """Names the panoptic map of a frame.

    Attributes:
      path: of the PNG.
      numbering: of its classes.
      void: class number of pixels that belong to no class.
      is_semantic: things are not told apart: all instances are 0.
    """

    path: str
    numbering: entries.Numbering
    void: int
    is_semantic: bool = False

    def read(self) -> entries.Label:
        """Reads the map; things keep their numbers, stuff and void have none.

        Raises:
          errors.InputError: it is damaged, or holds a class that the data set does not have, or a number of a
            thing from label_divisor on.
        """
        colors = images.colors(files.read(self.path), self.path).astype(np.int32)
        codec = self.numbering.codec
        table = np.full(256, _UNKNOWN, np.int32)
        table[self.void] = codec.ignore_label
        for number, class_id in self.numbering.class_ids.items():
            table[number] = class_id
        classes = table[colors[..., 0]]
        if classes.min(initial=0) == _UNKNOWN:
            raise errors.InputError(
                f'{self.path} holds the class {colors[classes == _UNKNOWN][0, 0]}, which the data set does '
                'not have; correct the file or the --dataset'
            )
        is_thing = codec.thing_table()[classes]
        instances = np.where(is_thing, 256 * colors[..., 1] + colors[..., 2], 0)
        if self.is_semantic:
            return entries.Label(codec.encode(classes, 0 * instances))
        self._check_numbers(classes, instances)
        panoptic = codec.encode(classes, instances)
        if self.numbering.treat_crowd_as_ignore:
            panoptic[is_thing & (instances == 0)] = codec.void
        return entries.Label(panoptic)

    def _check_numbers(self, classes: np.ndarray, instances: np.ndarray) -> None:
        divisor = self.numbering.codec.label_divisor
        if instances.max(initial=0) >= divisor:
            place = np.unravel_index(instances.argmax(), instances.shape)
            raise errors.InputError(
                f'{self.path}: class {classes[place]} has the instance {instances[place]}, but label_divisor '
                f'{divisor} leaves room for {divisor - 1}; describe the data set with a larger label_divisor'
            )


def list_images(
    root: str | os.PathLike[str],
    split: str,
    spec: datasets.DatasetSpec,
    *,
    with_labels: bool = True,
    treat_crowd_as_ignore: bool = False,
    semantic_only: bool = False,
) -> listing.Listing:
    """Lists the frames of a split, sorted by path, with their maps; 'test' has none.

    The id of a frame is SEQUENCE/FRAME. With `semantic_only`, instances are not read.

    Raises:
      errors.InputError: the folder is not laid out so, or a map is missing.
    """
    root = os.fspath(root)
    roots.check_folder(root)
    found = _frames(root, split)
    if split == 'test' or not with_labels:
        return found
    maps = trees.read(addresses.join(root, 'panoptic_maps', split))
    pngs = [path for path in maps.files if path.lower().endswith('.png')]
    if not pngs:
        raise errors.InputError(
            f'{root} has images but no annotations of {split}: expected panoptic_maps/{split}/SEQUENCE/*.png;'
            ' unpack the panoptic maps of the data set there'
        )
    numbering = entries.official_numbering(spec, treat_crowd_as_ignore)

    def label(path: str) -> Map:
        return Map(addresses.join(maps.root, path), numbering, spec.official_void, semantic_only)

    return annotations.join_maps(found, pngs, '.png', label, key=str)


def _frames(root: str, split: str) -> listing.Listing:
    """Lists frames by the places that the data sets have for them."""
    tree = trees.read(addresses.join(root, 'images', split))
    ids = {path: name for path in listing.images_in(tree) if (name := _name(path))}
    if not ids:
        raise errors.InputError(_nothing(root, split))
    return listing.Listing(tuple(listing.entries_of(ids, tree.root, ids)), listing.left_out(tree, ids))


def _name(path: str) -> str:
    """Returns SEQUENCE/FRAME of the path of a frame; empty for other images."""
    sequence, *between, frame = names.without_ending(path).split('/')
    return f'{sequence}/{frame}' if between in ([], [_FRAMES]) and sequence != frame else ''


def _nothing(root: str, split: str) -> str:
    if files.exists(addresses.join(root, 'images')):
        there = roots.contents(addresses.join(root, 'images'))
        return (
            f'{root}/images has no sequences of {split} ({there}); move sequences to images/{split}, or '
            'choose other --splits'
        )
    return f'{root} is not laid out like STEP: expected {_LAYOUT}, but {roots.contents(root)}'
