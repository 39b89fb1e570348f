# SPDX-License-Identifier: Apache-2.0
"""The numbers in label-id PNGs of Cityscapes, judged over a split: label ids, train ids, or neither.

Training scripts overwrite `*_labelIds.png` with train ids, and many numbers are either: 7 is the label id of
roads and the train id of traffic signs.
"""

from collections.abc import Collection, Mapping, Sequence

from panpipe.model import datasets, errors
from panpipe.model.metrics import masks
from panpipe.model.storage import files
from panpipe.pipelines.sources import images

LABEL_IDS = frozenset(range(34))
VOID_TRAIN_ID = 255
_SPEC = datasets.SPECS['cityscapes_panoptic']
# Label ids below those of classes. As train ids they are frequent: 0 is the road, 1 the sidewalk.
_LOW = frozenset(range(7))
_THINGS = frozenset(category.official_id for category in _SPEC.categories if category.is_thing)
_BASE = 1000  # a single thing is label id * 1000 + number
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


def is_official(spec: datasets.DatasetSpec) -> bool:
    """Tells whether a data set has the classes of Cityscapes, whose label ids are known."""
    return set(spec.from_official) == set(_SPEC.from_official)


def void(spec: datasets.DatasetSpec) -> frozenset[int]:
    """Returns label ids that stand for no class; other data sets have 255 among them."""
    return LABEL_IDS if is_official(spec) else LABEL_IDS | {VOID_TRAIN_ID}


def check_split(paths: Sequence[str], *, have_instances: bool = False) -> None:
    """Refuses PNGs of a split that hold train ids in place of label ids, as some of them show.

    Those that cannot be read are left to whoever reads them all.

    Args:
      paths: of label-id PNGs, or of instance-id PNGs.
      have_instances: they must tell things apart.

    Raises:
      errors.InputError: they hold train ids, or no single thing though they should.
    """
    shown = {path: _numbers(path) for path in paths[:: -(-len(paths) // _SHOWN)]}
    every = set[int]().union(*shown.values())
    used = {number // _BASE if number >= _BASE else number for number in every}
    if are_train_ids(used):
        raise are_wrong(next(iter(shown)), used)
    with_things = [path for path, mine in shown.items() if mine & _THINGS]
    if have_instances and len(with_things) > 1 and max(every) < _BASE:
        raise errors.InputError(
            f'{with_things[0]} and the others of its split hold no number from {_BASE} on, so no single '
            'thing: these look like label ids, not instance ids; fetch the original files of '
            'gtFine_trainvaltest.zip again, or take the classes alone with --semantic_only'
        )


def _numbers(path: str) -> set[int]:
    try:
        return set(masks.present(images.pixels(files.read(path), ('L', 'P', 'I;16', 'I'), path)))
    except errors.InputError:
        return set()


def are_wrong(path: str, used: Collection[int]) -> errors.InputError:
    """Makes the error of a split whose label-id PNGs, `path` among them, hold train ids."""
    shown = ', '.join(map(str, sorted(used)))
    return errors.InputError(
        f'{path} and the others of its split hold the numbers {shown}: these look like train ids, not label '
        'ids; fetch the original files of gtFine_trainvaltest.zip again'
    )
