# SPDX-License-Identifier: Apache-2.0
"""Pictures of one evaluated sample: what the network said beside what is true."""

import enum
from typing import NamedTuple

import numpy as np

from panpipe.model import datasets, tensors
from panpipe.model.drawing import error_maps, panels, pictures

_WRONG = 255


class Kind(enum.StrEnum):
    """Names a picture; the value is what DeepLab2 ends its file's name with, but for the last."""

    IMAGE = 'image'
    SEMANTIC_LABEL = 'semantic_label'
    SEMANTIC_PREDICTION = 'semantic_prediction'
    SEMANTIC_ERROR = 'semantic_error'
    PANOPTIC_LABEL = 'panoptic_label'
    PANOPTIC_PREDICTION = 'panoptic_prediction'
    INSTANCE_PREDICTION = 'instance_prediction'
    CENTER_LABEL = 'center_label'
    CENTER_PREDICTION = 'center_prediction'
    OFFSET_LABEL = 'offset_label'
    OFFSET_PREDICTION = 'offset_prediction_rgb'
    PANOPTIC_ERROR = 'panoptic_error'


# What is worth a look at each evaluation, with an instance branch and without.
CHOICE = (
    Kind.IMAGE,
    Kind.PANOPTIC_LABEL,
    Kind.PANOPTIC_PREDICTION,
    Kind.PANOPTIC_ERROR,
    Kind.CENTER_PREDICTION,
    Kind.OFFSET_PREDICTION,
)
SEMANTIC_CHOICE = (Kind.IMAGE, Kind.SEMANTIC_LABEL, Kind.SEMANTIC_PREDICTION, Kind.PANOPTIC_ERROR)


class Instances(NamedTuple):
    """What the instance branch said of the network's input without its padding, [rows, columns].

    Attributes:
      center: float32 [rows, columns], the heat-map.
      points: int [n, (y, x)], the centers that were found in it.
      offset: float32 [rows, columns, (y, x)], pixels.
      targets: what it should have said.
    """

    center: np.ndarray
    points: np.ndarray
    offset: np.ndarray
    targets: tensors.Targets


class Evaluated(NamedTuple):
    """Holds a sample and its prediction.

    Attributes:
      image: uint8 [height, width, 3].
      truth: panoptic ids, int32 [height, width].
      prediction: maps [height, width].
      instances: None for a network without an instance branch.
    """

    image: np.ndarray
    truth: np.ndarray
    prediction: tensors.Prediction
    instances: Instances | None


def draw(seen: Evaluated, spec: datasets.DatasetSpec, size: panels.Size) -> dict[Kind, np.ndarray]:
    """Draws all pictures that there are of a sample.

    Args:
      seen: the sample.
      spec: its data set.
      size: of each picture, (height, width).

    Returns:
      uint8 [*size, 3] by kind; the semantic error is uint8 [*size], 255 where the class is wrong.
    """
    image = pictures.scale(seen.image, size, is_label=False)
    truth, panoptic, semantic = (
        pictures.scale(label, size, is_label=True)
        for label in (seen.truth, seen.prediction.panoptic, seen.prediction.semantic)
    )
    true_classes = spec.labels.decode(truth)[0]
    is_wrong = (semantic != true_classes) & (true_classes != spec.labels.ignore_label)
    drawn = {
        Kind.IMAGE: image,
        Kind.SEMANTIC_LABEL: pictures.class_colors(true_classes, spec),
        Kind.SEMANTIC_PREDICTION: pictures.class_colors(semantic, spec),
        Kind.SEMANTIC_ERROR: np.where(is_wrong, _WRONG, 0).astype(np.uint8),
        Kind.PANOPTIC_ERROR: _errors(seen, image, spec),
    }
    if seen.instances is None:
        return drawn
    return {
        **drawn,
        Kind.PANOPTIC_LABEL: pictures.panoptic_picture(truth, spec),
        Kind.PANOPTIC_PREDICTION: pictures.panoptic_picture(panoptic, spec),
        Kind.INSTANCE_PREDICTION: pictures.instance_colors(
            pictures.scale(seen.prediction.instance, size, is_label=True)
        ),
        **_instances(seen.instances, image, seen.prediction.instance > 0),
    }


def _errors(seen: Evaluated, image: np.ndarray, spec: datasets.DatasetSpec) -> np.ndarray:
    """Draws the errors over the image; of a semantic-only network, those of classes."""
    judge = error_maps.class_errors if seen.instances is None else error_maps.errors
    found = judge(seen.truth, seen.prediction.panoptic, spec.labels)
    return error_maps.picture(image, pictures.scale(found, image.shape[:2], is_label=True))


def _instances(said: Instances, image: np.ndarray, is_thing: np.ndarray) -> dict[Kind, np.ndarray]:
    """Draws centers and offsets over the image; offsets of label and prediction in the same strength."""
    size = image.shape[0], image.shape[1]
    truth = said.targets
    is_found = pictures.scale(is_thing, (said.center.shape[0], said.center.shape[1]), is_label=True)
    is_true = truth.offset_weight > 0
    reach = panels.longest(truth.offset, is_true) or panels.longest(said.offset, is_found)
    return {
        Kind.CENTER_LABEL: panels.heat(image, truth.center, panels.peaks(truth.center), size),
        Kind.CENTER_PREDICTION: panels.heat(image, said.center, said.points, size),
        Kind.OFFSET_LABEL: panels.offsets(image, truth.offset, is_true, size, reach),
        Kind.OFFSET_PREDICTION: panels.offsets(image, said.offset, is_found, size, reach),
    }
