# SPDX-License-Identifier: Apache-2.0
"""Predictions as files for panopticapi: `panoptic/*.png`, and an annotation each for `panoptic.json`."""

import os
import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from panpipe.model import datasets
from panpipe.pipelines.formats import png, segments

FOLDERS = ('panoptic',)


def image_id(name: str) -> str | int:
    """Returns the official id of an image by its name without folder and extension.

    >>> image_id('000000000139'), image_id('street')
    (139, 'street')
    """
    return int(name) if name.isdecimal() else name


def key(annotation: Mapping[str, Any]) -> str:
    """Returns the image that an annotation is about, by the name of its PNG without the ending.

    >>> key({'image_id': 139, 'file_name': '000000000139.png'})
    '000000000139'
    """
    return pathlib.PurePath(annotation['file_name']).stem


def write(
    folder: str, name: str, panoptic: np.ndarray, semantic: np.ndarray, spec: datasets.DatasetSpec
) -> dict[str, Any]:
    """Writes the files of one image and returns its annotation.

    Args:
      folder: where `panoptic/` is.
      name: image name without folder and extension.
      panoptic: int32 [height, width], ids of `spec.labels`.
      semantic: not used; this format has no place for it.
      spec: knows the official class ids.
    """
    del semantic
    colors, found = segments.encode(panoptic, spec)
    png.save(os.path.join(folder, 'panoptic', f'{name}.png'), colors)
    return segments.annotation(image_id(name), f'{name}.png', found)
