# SPDX-License-Identifier: Apache-2.0
"""The numbers in label-id PNGs of Cityscapes, judged over a split: label ids, train ids, or neither.

Training scripts overwrite `*_labelIds.png` with train ids, and many numbers are either: 7 is the label id of
roads and the train id of traffic signs.
"""

from collections.abc import Collection, Mapping, Sequence

import numpy as np

from panpipe.model import datasets, errors
from panpipe.model.storage import files
from panpipe.pipelines.sources import images

LABEL_IDS = frozenset(range(34))
VOID_TRAIN_ID = 255
_SPEC = datasets.SPECS['cityscapes_panoptic']
# Label ids below those of classes. As train ids they are frequent: 0 is the road, 1 the sidewalk.
_LOW = frozenset(range(7))
_SHOWN = 20  # maps of a split that are looked at before the work: scripts change all of them


def are_train_ids(used: Collection[int]) -> bool:
    """Tells whether the numbers of a split look like train ids.

    They do where all are train ids, void among them, and some are no label ids of evaluated classes.
    """
    train_ids = {*_SPEC.by_id, VOID_TRAIN_ID}
    return set(used) <= train_ids and not set(used) <= {*_SPEC.from_official, *_LOW}


def check(by_file: Mapping[str, Collection[int]]) -> None:
    """Refuses label-id PNGs with other numbers than label ids.

    Args:
      by_file: the numbers of each PNG, by its path.

    Raises:
      errors.InputError: there are such.
    """
    used = sorted(set().union(*by_file.values()))
    if are_train_ids(used):
        raise are_wrong(next(iter(by_file)), used)
    for path, numbers in by_file.items():
        strange = sorted(set(numbers) - LABEL_IDS)
        if strange:
            raise errors.InputError(
                f'{path} holds the number {strange[0]}, which is no label id of Cityscapes (0 to 33); '
                'correct the file, or fetch it again'
            )


def check_split(paths: Sequence[str]) -> None:
    """Refuses label-id PNGs of a split that hold train ids, as some of them show.

    Raises:
      errors.InputError: they do; or one of those is damaged.
    """
    shown = paths[:: -(-len(paths) // _SHOWN)]
    found = [images.pixels(files.read(path), ('L', 'P', 'I;16', 'I'), path) for path in shown]
    used = set[int]().union(*(np.unique(numbers).tolist() for numbers in found))
    if are_train_ids(used):
        raise are_wrong(shown[0], used)


def are_wrong(path: str, used: Collection[int]) -> errors.InputError:
    """Makes the error of a split whose label-id PNGs, `path` among them, hold train ids."""
    shown = ', '.join(map(str, sorted(used)))
    return errors.InputError(
        f'{path} and the others of its split hold the numbers {shown}: these look like train ids, not label '
        'ids; fetch the original files of gtFine_trainvaltest.zip again'
    )
