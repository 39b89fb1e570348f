# SPDX-License-Identifier: Apache-2.0
"""Predictions as the archives that test servers take.

Cityscapes (one archive a benchmark, of the files alone): `pixel.zip`, `instance.zip`, `panoptic.zip`.
COCO: `panoptic_{split}_{algorithm}_results.zip` and `detections_{split}_{algorithm}_results.zip`, each of
files whose names begin alike.

Sources: https://www.cityscapes-dataset.com/submit/, https://cocodataset.org/#upload
"""

import re
import shutil
import zipfile
from collections.abc import Mapping

from panpipe.model import errors
from panpipe.model.storage import addresses, files
from panpipe.pipelines.formats import layout

# Addresses by the names in an archive.
Members = Mapping[str, str]
_DATE = (1980, 1, 1, 0, 0, 0)  # the same archive each time


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
    """Writes the archives of a folder of predictions into `archives/` in it, and returns their addresses."""
    wanted = _cityscapes(folder) if format_name == 'cityscapes' else _coco(folder, split, algorithm)
    place = addresses.join(folder, layout.ARCHIVES)
    return [_zip(addresses.join(place, name), members) for name, members in wanted.items() if members]


def _cityscapes(root: str) -> dict[str, Members]:
    return {
        'pixel.zip': _below(root, layout.SEMANTIC, ''),
        'instance.zip': _below(root, layout.INSTANCE, ''),
        'panoptic.zip': _panoptic(root, layout.PANOPTIC),
    }


def _coco(root: str, split: str, algorithm: str) -> dict[str, Members]:
    panoptic = f'panoptic_{split}_{algorithm}_results'
    detections = f'detections_{split}_{algorithm}_results'
    return {
        f'{panoptic}.zip': _panoptic(root, panoptic),
        f'{detections}.zip': _document(root, layout.INSTANCES, detections),
        'semantic.zip': _below(root, layout.SEMANTIC, ''),
    }


def _panoptic(root: str, name: str) -> Members:
    """Puts the PNGs into a folder that is named as the JSON file beside it."""
    return {**_document(root, layout.DOCUMENT, name), **_below(root, layout.PANOPTIC, f'{name}/')}


def _document(root: str, document: str, name: str) -> Members:
    path = addresses.join(root, document)
    return {f'{name}.json': path} if files.exists(path) else {}


def _below(root: str, folder: str, prefix: str) -> Members:
    place = addresses.join(root, folder)
    return {f'{prefix}{told.path.removeprefix(place).lstrip("/")}': told.path for told in files.tree(place)}


def _zip(path: str, members: Members) -> str:
    with files.created(path) as file, zipfile.ZipFile(file, 'w', zipfile.ZIP_DEFLATED) as archive:
        for name, member in members.items():
            entry = zipfile.ZipInfo(name, _DATE)
            # What is compressed already stays as it is.
            entry.compress_type = zipfile.ZIP_STORED if name.endswith('.png') else zipfile.ZIP_DEFLATED
            entry.external_attr = 0o644 << 16
            with archive.open(entry, 'w', force_zip64=True) as target, files.opened(member) as source:
                shutil.copyfileobj(source, target)
    return path
