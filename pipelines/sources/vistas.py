# SPDX-License-Identifier: Apache-2.0
"""Mapillary Vistas 1.2 and 2.0, as downloaded.

`training/images/*.jpg` with `training/v2.0/panoptic/panoptic_2020.json` and the PNGs beside it; of 1.2
`training/v1.2/panoptic/panoptic_2018.json`, in its own release without `v1.2/`. Where there is no such file,
`instances/*.png` of 16 bits: label * 256 + number of the instance. Validation images are in `validation/`,
test images in `testing/`.

Source: Neuhold et al., The Mapillary Vistas Dataset (ICCV 2017); README and demo.py of the data set.
"""

import dataclasses
import os
from collections.abc import Mapping

import numpy as np

from panpipe.model import datasets, errors, labels
from panpipe.model.metrics import masks
from panpipe.model.storage import addresses, files
from panpipe.pipelines.sources import annotations, entries, images, listing, roots, trees

PANOPTIC_FILES = ()
HAS_AREAS = False
_FOLDERS = {'train': 'training', 'val': 'validation', 'test': 'testing'}
# Folders of annotations within that of the split, and the panoptic file.
_PLACES: Mapping[str, tuple[tuple[str, ...], str]] = {
    'vistas_v1.2': (('v1.2/', ''), 'panoptic_2018.json'),
    'vistas_v2.0': (('v2.0/',), 'panoptic_2020.json'),
}
_INSTANCE_BASE = 256
_LIMIT = 65536


@dataclasses.dataclass(frozen=True)
class Instances:
    """Names a PNG of instances.

    Attributes:
      path: of the PNG: label * 256 + number of the instance, where labels count from 0.
      numbering: of labels, which its files call by one more.
      is_semantic: instances are not told apart: all are 0.
    """

    path: str
    numbering: entries.Numbering
    is_semantic: bool = False

    def read(self) -> entries.Label:
        """Reads the PNG; instances of a class count from 1, by their numbers. Labels not evaluated are void.

        Raises:
          errors.InputError: it is damaged, or a class has too many instances.
        """
        ids = images.pixels(files.read(self.path), ('I;16', 'I'), self.path)
        known = [
            labels.Segment(number, number // _INSTANCE_BASE + 1, 0, self.is_semantic)
            for number in masks.present(ids)
            if number // _INSTANCE_BASE + 1 in self.numbering.class_ids
        ]
        table = np.full(_LIMIT, self.numbering.codec.void, np.int32)
        table[[segment.id for segment in known]] = self.numbering.panoptic_ids(known, self.path)
        return entries.Label(table.take(ids))


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

    With `semantic_only` the PNGs of instances are read, and all instances are 0.

    Raises:
      errors.InputError: the folder is not laid out so, or a file is missing or wrong.
    """
    root = os.fspath(root)
    roots.check_folder(root)
    name = _FOLDERS.get(split, split)
    folder = addresses.join(root, name)
    tree = trees.read(addresses.join(folder, 'images'))
    found = annotations.images_of(tree)
    if not found:
        raise errors.InputError(
            f'{root} is not laid out like Mapillary Vistas: expected {name}/images/*.jpg, but '
            f'{roots.contents(root)}'
        )
    if split == 'test' or not with_labels:
        return found
    numbering = entries.official_numbering(spec, treat_crowd_as_ignore)
    places, file_name = _PLACES[spec.layout]
    if not semantic_only:
        paths = [addresses.join(folder, f'{place}panoptic', file_name) for place in places]
        if path := next(filter(files.exists, paths), None):
            void = dict.fromkeys(range(1, _INSTANCE_BASE + 1), spec.labels.ignore_label)
            every = dataclasses.replace(numbering, class_ids={**void, **numbering.class_ids})
            return annotations.with_panoptic(tree, path, every, folder=addresses.parent(path))
    for place in places:
        if maps := files.find(folder, f'{place}instances/*.png'):
            return annotations.join_maps(
                found, maps, '.png', lambda path: Instances(path, numbering, semantic_only)
            )
    wanted = ' or '.join(f'{place}panoptic/{file_name}' for place in places)
    raise errors.InputError(
        f'{folder} has images but no annotations: expected {wanted}, or {places[0]}instances/*.png; unpack '
        'all of the download there, or choose the configuration of its version'
    )
