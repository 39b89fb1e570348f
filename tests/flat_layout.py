# SPDX-License-Identifier: Apache-2.0
"""A made-up layout: `SPLIT/NAME.png` with `SPLIT/NAME.npy` of panoptic ids, as somebody would add it."""

import dataclasses
import pathlib

import numpy as np

from panpipe.pipelines.sources import annotations, entries, trees

PANOPTIC_FILES = ()
HAS_AREAS = False


@dataclasses.dataclass(frozen=True)
class Ids:
    """Names a file of ids."""

    path: str

    def read(self):
        """Reads it."""
        return entries.Label(np.load(self.path))


def list_images(root, split, spec, *, with_labels=True, treat_crowd_as_ignore=False, semantic_only=False):
    """Lists the images of a split."""
    found = annotations.images_of(trees.read(str(pathlib.Path(root, split))))
    labelled = [
        dataclasses.replace(one, label=Ids(one.path.replace('.png', '.npy')) if with_labels else None)
        for one in found
    ]
    return dataclasses.replace(found, images=tuple(labelled), left_out={})
