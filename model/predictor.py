# SPDX-License-Identifier: Apache-2.0
"""An exported model in Python: a numpy image in, maps, segments and a picture out."""

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any, Self

import numpy as np
import tensorflow as tf

from panpipe.custom_ops import library
from panpipe.model import datasets, errors
from panpipe.model.drawing import overlays
from panpipe.model.metrics import masks
from panpipe.model.storage import addresses, cache, exported

_SHOWN = 120  # characters of what TensorFlow says


@dataclasses.dataclass(frozen=True)
class Segment:
    """Describes one segment of a predicted panoptic map.

    Attributes:
      panoptic_id: its pixels in the map.
      category: its class.
      area: pixels.
      box: (top, left, bottom, right) in pixels; bottom and right are exclusive.
      score: how sure the model is of a thing, 0 .. 1; None of stuff.
    """

    panoptic_id: int
    category: datasets.Category
    area: int
    box: tuple[int, int, int, int]
    score: float | None


@dataclasses.dataclass(frozen=True)
class Prediction:
    """Holds the prediction of an image, at the image's own size.

    Attributes:
      image: uint8 [height, width, 3], RGB.
      panoptic: int32 [height, width], panoptic ids; of a semantic-only model one segment a class.
      semantic: int32 [height, width], class ids.
      scores: of the things of the panoptic map, by panoptic id.
      spec: the data set.
    """

    image: np.ndarray
    panoptic: np.ndarray
    semantic: np.ndarray
    scores: Mapping[int, float]
    spec: datasets.DatasetSpec

    @functools.cached_property
    def segments(self) -> tuple[Segment, ...]:
        """The segments, largest first."""
        found = []
        for panoptic_id, extent in masks.extents(self.panoptic).items():
            category = self.spec.by_id.get(panoptic_id // self.spec.labels.label_divisor)
            if category:
                box = extent.top, extent.left, extent.bottom, extent.right
                score = self.scores.get(panoptic_id)
                found.append(Segment(panoptic_id, category, extent.area, box, score))
        return tuple(sorted(found, key=lambda segment: -segment.area))

    def mask(self, segment: Segment) -> np.ndarray:
        """Returns the pixels of a segment, bool [height, width]."""
        return self.panoptic == segment.panoptic_id

    def draw(self) -> np.ndarray:
        """Draws the segments over the image, things with name and score: uint8 [height, width, 3]."""
        names = {
            one.panoptic_id: f'{one.category.name} {one.score:.2f}'
            for one in self.segments
            if one.score is not None
        }
        return overlays.picture(self.image, self.panoptic, self.spec, names)


def load(folder: addresses.Address, facts: exported.Facts) -> Any:
    """Loads a SavedModel as TensorFlow has it, after the library of compiled ops if it needs that.

    Args:
      folder: of the SavedModel.
      facts: those that `storage.exported` reads there.

    Raises:
      errors.InputError: the model needs the compiled ops, and they are not built here; or it is damaged.
    """
    if facts.uses_op and library.load() is None:
        raise errors.InputError(
            f'{folder} was exported with the compiled merge op, which is not built for TensorFlow '
            f'{tf.__version__} here; run `python -m panpipe.custom_ops.build`, or export with --pure_tf'
        )
    place = cache.tree('--saved_model', str(folder))
    try:
        return tf.saved_model.load(place)
    except Exception as error:  # whatever TensorFlow raises of damaged files
        reason = ' '.join(str(error).split())[:_SHOWN]
        raise errors.InputError(
            f'{folder} cannot be loaded ({type(error).__name__}: {reason}); export the model again'
        ) from error


def predict(model: Any, image: tf.Tensor) -> tuple[np.ndarray, np.ndarray, dict[int, float]]:
    """Predicts an image, uint8 [height, width, 3], by what `load` returns.

    Returns:
      Panoptic ids and class ids, int32 [height, width], and the scores of things by panoptic id, none of a
      semantic-only model.
    """
    found = model.signatures['pixels'](image=image)
    ids, sure = found['instance_ids'].numpy().tolist(), found['instance_scores'].numpy().tolist()
    return found['panoptic'].numpy(), found['semantic'].numpy(), dict(zip(ids, sure, strict=True))


@dataclasses.dataclass(frozen=True)
class Predictor:
    """Predicts images by a SavedModel of `panpipe export`.

    Attributes:
      spec: the data set that it was trained on.
      has_instances: it is instance-aware; else semantic-only.
      model: as TensorFlow loads it.
    """

    spec: datasets.DatasetSpec
    has_instances: bool
    model: Any

    @classmethod
    def open(cls, folder: addresses.Address) -> Self:
        """Loads what `panpipe export` wrote.

        Raises:
          errors.InputError: the folder is no SavedModel of panpipe, its ops are not built here, or its data
            set is not known.
        """
        facts = exported.read(folder)
        return cls(datasets.named(facts.kept), facts.has_instances, load(folder, facts))

    def __call__(self, image: np.ndarray) -> Prediction:
        """Predicts an image, uint8 [height, width, 3], RGB.

        Raises:
          ValueError: it has another shape or type.
        """
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
            raise ValueError(
                f'the image is {image.dtype} {list(image.shape)}; it must be uint8 [height, width, 3]'
            )
        return Prediction(image, *predict(self.model, tf.constant(image)), self.spec)
