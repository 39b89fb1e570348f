# SPDX-License-Identifier: Apache-2.0
"""Predictions as the archives that test servers take.

Cityscapes (one archive a benchmark, of the files alone): `pixel.zip`, `instance.zip`, `panoptic.zip`.
COCO: `panoptic_{split}_{algorithm}_results.zip` and `detections_{split}_{algorithm}_results.zip`, each of
files whose names begin alike.

Sources: https://www.cityscapes-dataset.com/submit/, https://cocodataset.org/#upload
"""

import os
import pathlib
import re
import zipfile
from collections.abc import Mapping

from panpipe.model import errors

FOLDER = 'archives'
Members = Mapping[str, pathlib.Path]


def check(split: str, algorithm: str) -> None:
    """Refuses what cannot be part of a file's name.

    Raises:
      errors.InputError: it is empty, or has characters other than letters, digits and . _ + -
    """
    for option, part in {'--split': split, '--algorithm': algorithm}.items():
        if not re.fullmatch(r'[\w.+-]+', part):
            raise errors.InputError(
                f'{option} is {part!r}, which goes into the names of archives; use letters, digits, . _ + -'
            )


def write(folder: str, format_name: str, split: str, algorithm: str) -> list[str]:
    """Writes the archives of a folder of predictions into `archives/` in it, and returns their paths."""
    root = pathlib.Path(folder)
    wanted = _cityscapes(root) if format_name == 'cityscapes' else _coco(root, split, algorithm)
    place = root / FOLDER
    place.mkdir()
    return [_zip(place / name, members) for name, members in wanted.items() if members]


def _cityscapes(root: pathlib.Path) -> dict[str, Members]:
    return {
        'pixel.zip': _below(root / 'semantic', ''),
        'instance.zip': _below(root / 'instance', ''),
        'panoptic.zip': _panoptic(root, 'panoptic'),
    }


def _coco(root: pathlib.Path, split: str, algorithm: str) -> dict[str, Members]:
    panoptic = f'panoptic_{split}_{algorithm}_results'
    detections = f'detections_{split}_{algorithm}_results'
    things = root / 'instances.json'
    return {
        f'{panoptic}.zip': _panoptic(root, panoptic),
        f'{detections}.zip': {f'{detections}.json': things} if things.exists() else {},
        'semantic.zip': _below(root / 'semantic', ''),
    }


def _panoptic(root: pathlib.Path, name: str) -> Members:
    """Puts the PNGs into a folder that is named as the JSON file beside it."""
    document = root / 'panoptic.json'
    found = {f'{name}.json': document} if document.exists() else {}
    return {**found, **_below(root / 'panoptic', f'{name}/')}


def _below(folder: pathlib.Path, prefix: str) -> Members:
    paths = sorted(path for path in folder.rglob('*') if path.is_file())
    return {f'{prefix}{path.relative_to(folder).as_posix()}': path for path in paths}


def _zip(path: pathlib.Path, members: Members) -> str:
    with zipfile.ZipFile(path, 'w', zipfile.ZIP_DEFLATED) as archive:
        for name, member in members.items():
            # What is compressed already stays as it is.
            method = zipfile.ZIP_STORED if member.suffix == '.png' else zipfile.ZIP_DEFLATED
            archive.write(member, name, method)
    return os.fspath(path)
