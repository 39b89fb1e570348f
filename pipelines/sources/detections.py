# SPDX-License-Identifier: Apache-2.0
"""Reads detections, COCO results, that people bring: checked before pycocotools sees them.

Source: https://cocodataset.org/#format-results.
"""

import json
from collections.abc import Collection
from typing import Any

from panpipe.model import errors
from panpipe.model.storage import files
from panpipe.pipelines.sources import fields, run_lengths


def read(path: str, images: Collection[str | int]) -> list[dict[str, Any]]:
    """Reads detections as COCOeval takes them: image_id, category_id, score and segmentation of each.

    Args:
      path: of the JSON file.
      images: ids that detections may have.

    Raises:
      errors.InputError: the file is of another form, or a detection has a wrong field or image.
    """
    try:
        content = json.loads(files.read(path))
    except (ValueError, RecursionError) as error:
        if isinstance(error, errors.InputError):
            raise
        raise errors.InputError(f'{path} is not JSON ({error}); run `panpipe predict` again') from error
    if not isinstance(content, list):
        raise errors.InputError(f'{path} is not a list of detections; run `panpipe validate`')
    return [_detection(fields.Fields.of(one, path, 'detection'), images) for one in content]


def _detection(told: fields.Fields, images: Collection[str | int]) -> dict[str, Any]:
    image_id = told.identity('image_id')
    if image_id not in images:
        raise told.wrong('image_id', 'that of an image of panoptic.json which is judged')
    mask = run_lengths.detected(told.told.get('segmentation'))
    if mask is None:
        raise told.wrong('segmentation', 'a run-length coded mask')
    return {
        'image_id': image_id,
        'category_id': told.whole('category_id'),
        'score': told.number('score'),
        'segmentation': mask,
    }
