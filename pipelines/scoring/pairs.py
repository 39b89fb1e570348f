# SPDX-License-Identifier: Apache-2.0
"""Pairs of ground truth and prediction, one an image: read, compared, counted."""

from typing import NamedTuple

import numpy as np

from panpipe.model import errors
from panpipe.model.inputs import records
from panpipe.model.metrics import tally
from panpipe.pipelines.predictions import prediction_files
from panpipe.pipelines.sources import entries


class Truth(NamedTuple):
    """Holds the ground truth of an image.

    Attributes:
      name: as records call it.
      panoptic: ids, int32 [height, width].
      official_id: what the annotation file calls it by, where that is not the name.
      missing: class of each segment that the annotation lists and that has no pixel.
    """

    name: str
    panoptic: np.ndarray
    official_id: str | int | None = None
    missing: tuple[int, ...] = ()


def judge(truth: Truth, found: prediction_files.Predictions) -> tally.Tally:
    """Counts one image.

    Raises:
      errors.InputError: it has no prediction, or one of another size.
    """
    name = found.name_of(truth.name, truth.official_id) or truth.name
    panoptic = found.panoptic(name) if found.has_panoptic else None
    classes = found.semantic(name, panoptic)
    for form, pixels in {'panoptic': panoptic, 'semantic': classes}.items():
        if pixels is not None:
            refuse_size(f'the {form} prediction of {truth.name}', pixels, truth.panoptic)
    codec = found.classes.codec
    counted = tally.Tally.from_maps(truth.name, truth.panoptic, panoptic, classes, codec)
    return counted.missed(truth.missing, codec) if truth.missing and found.has_panoptic else counted


def refuse_size(where: str, predicted: np.ndarray, true: np.ndarray) -> None:
    """Refuses a predicted map [height, width] of another size than the ground truth.

    Raises:
      errors.InputError: it is.
    """
    if predicted.shape != true.shape:
        turned = ' (turned; does EXIF turn the photo?)' if predicted.shape == true.shape[::-1] else ''
        raise errors.InputError(
            f'{where} is {predicted.shape} (height, width), the ground truth {true.shape}{turned}; predict '
            'at the size of the image'
        )


def from_record(serialized: bytes) -> Truth:
    """Reads the ground truth from a record.

    Raises:
      errors.InputError: the record has none, or is damaged.
    """
    return labelled(records.parse(serialized))


def from_entry(entry: entries.ImageFile) -> Truth:
    """Reads the annotation of an image of a raw data set.

    Raises:
      errors.InputError: it has none, or its files are damaged.
    """
    label = entry.label.read() if entry.label else None
    if label is None:
        raise _unlabelled(entry.image_id)
    return Truth(entry.image_id, label.panoptic, entry.official_id, label.missing)


def labelled(record: records.Record) -> Truth:
    """Reads the ground truth from a record.

    Raises:
      errors.InputError: there is none.
    """
    if record.panoptic is None:
        raise _unlabelled(record.image_id)
    return Truth(record.image_id, record.panoptic, record.official_id, record.missing)


def _unlabelled(name: str) -> errors.InputError:
    return errors.InputError(
        f'the image {name} of --ground_truth has no annotation; evaluate on a split that has'
    )
