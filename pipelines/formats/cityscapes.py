# SPDX-License-Identifier: Apache-2.0
"""Predictions as files for cityscapesScripts: panoptic PNGs and annotations, and label-id PNGs.

evalPanopticSemanticLabeling takes `panoptic.json` with `panoptic/`. evalPixelLevelSemanticLabeling searches
$CITYSCAPES_RESULTS for `{city}_{sequence}_{frame}*.png`: point it to `semantic/`.
"""

import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from panpipe.model import datasets
from panpipe.pipelines.formats import png, segments

FOLDERS = ('panoptic', 'semantic')


def image_id(name: str) -> str | int:
    """Returns the official id of an image by its name without folder and extension.

    >>> image_id('bonn_000001_000019_leftImg8bit')
    'bonn_000001_000019'
    """
    return name.removesuffix('_leftImg8bit')


def key(annotation: Mapping[str, Any]) -> str:
    """Returns the image that an annotation is about, as the evaluator joins them: by `image_id`."""
    return str(annotation['image_id'])


def write(
    folder: str, name: str, panoptic: np.ndarray, semantic: np.ndarray, spec: datasets.DatasetSpec
) -> dict[str, Any]:
    """Writes the files of one image and returns its annotation.

    Args:
      folder: where `panoptic/` and `semantic/` are.
      name: image name without folder and extension.
      panoptic: int32 [height, width], ids of `spec.labels`.
      semantic: int32 [height, width], class ids.
      spec: knows the official class ids.
    """
    file_name = f'{image_id(name)}.png'
    colors, found = segments.encode(panoptic, spec)
    png.save(os.path.join(folder, 'panoptic', file_name), colors)
    png.save(os.path.join(folder, 'semantic', file_name), label_ids(semantic, spec))
    return segments.annotation(image_id(name), file_name, found)


def label_ids(semantic: np.ndarray, spec: datasets.DatasetSpec) -> np.ndarray:
    """Turns class ids into official label ids, both integer [height, width]; the result is uint8."""
    return spec.to_official()[semantic].astype(np.uint8)
