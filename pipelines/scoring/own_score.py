# SPDX-License-Identifier: Apache-2.0
"""panpipe's own numbers of the files that the official evaluators judge, to be set beside theirs."""

import collections
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from panpipe.model import labels
from panpipe.model.metrics import quality, results
from panpipe.model.storage import files
from panpipe.pipelines.predictions import prediction_files
from panpipe.pipelines.scoring import pairs, panoptic_files
from panpipe.pipelines.sources import documents, images

# Of fractions, 1e-6; in per cent.
TOLERANCE = 1e-4


class Pair(NamedTuple):
    """Joins an image with its prediction.

    Attributes:
      truth: its annotation in the ground truth.
      name: what the predictions call it.
    """

    truth: documents.Annotation
    name: str


class Counts(NamedTuple):
    """Counts segments and pixels by class; class ids are places in the ground truth's list of categories."""

    panoptic: quality.PanopticQuality
    semantic: quality.ConfusionMatrix


def count(
    truth: panoptic_files.Panoptic, found: prediction_files.Predictions, joined: Sequence[Pair]
) -> Counts:
    """Counts pairs of ground truth and prediction.

    In terms of pixels crowd counts as its class, and predicted void is a missed pixel.

    Raises:
      errors.InputError: a PNG is damaged, of another size than its ground truth, or of another category.
    """
    spec = truth.codec
    segments, pixels = quality.PanopticQuality.zero(spec), quality.ConfusionMatrix.zero(spec)
    for annotation, name in joined:
        label = truth.read(annotation)
        maps = label.panoptic, found.panoptic(name)
        pairs.refuse_size(found.png(name), maps[1], maps[0])
        segments += quality.PanopticQuality.from_maps(*maps, spec)
        segments += quality.PanopticQuality.missed(label.missing, spec)
        true, predicted = (spec.decode(each)[0] for each in maps)
        pixels += quality.ConfusionMatrix.from_maps(true, predicted, spec)
    return Counts(segments, pixels)


def panoptic(counted: quality.PanopticQuality) -> results.Means:
    """Computes PQ, SQ and RQ in per cent."""
    result = counted.result()
    pq, sq, rq = (results.Groups.of(result, measure) for measure in results.MEASURES)
    return results.Means(pq, sq, rq)


def miou(joined: Sequence[tuple[str, str]], official: Sequence[int]) -> float | None:
    """Computes the mean IoU of pairs of label-id PNGs (prediction, ground truth), in per cent.

    Args:
      joined: paths.
      official: label ids that count; pixels of others in the ground truth are void.
    """
    table = np.full(256, len(official), np.int32)
    table[list(official)] = range(len(official))
    spec = labels.LabelSpec(len(official), (), 1, len(official))
    total = quality.ConfusionMatrix.zero(spec)
    for paths in joined:
        predicted, true = (table[images.pixels(files.read(path), ('L',), path)] for path in paths)
        total += quality.ConfusionMatrix.from_maps(true, predicted, spec)
    return 100 * total.result().miou if total.counts.any() else None


def differences(official: results.Result, own: results.Means) -> results.Means:
    """Subtracts official numbers from own ones, measure by measure, group by group."""
    return results.Means(
        own.pq and own.pq.minus(official.pq),
        own.sq and own.sq.minus(official.sq),
        own.rq and own.rq.minus(official.rq),
        results.difference(own.miou, official.miou),
    )


def ambiguous(annotations: Sequence[documents.Annotation]) -> list[documents.ImageId]:
    """Lists the images of which panopticapi overlooks a crowd: it keeps one of each class in mind."""
    found = []
    for annotation in annotations:
        crowds = collections.Counter(s.category_id for s in annotation.segments if s.is_crowd)
        if any(count > 1 for count in crowds.values()):
            found.append(annotation.image_id)
    return found
