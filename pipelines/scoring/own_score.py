# SPDX-License-Identifier: Apache-2.0
"""panpipe's own numbers of the files that the official evaluators judge, to be set beside theirs."""

import collections
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from panpipe.model import labels
from panpipe.model.metrics import quality, results
from panpipe.pipelines.formats import png
from panpipe.pipelines.scoring import truths

Entry = Mapping[str, Any]
# Of fractions, 1e-6; in per cent.
TOLERANCE = 1e-4
_DIVISOR = 2**20


class Counts(NamedTuple):
    """Counts segments and pixels by class; class ids are places in the ground truth's list of categories."""

    panoptic: quality.PanopticQuality
    semantic: quality.ConfusionMatrix


def count(
    truth: truths.Panoptic, prediction: truths.Panoptic, pairs: Sequence[tuple[Entry, Entry]]
) -> Counts:
    """Counts pairs of entries (ground truth, prediction).

    In terms of pixels crowd counts as its class, and predicted void is a missed pixel.

    Raises:
      errors.InputError: a PNG is damaged, of another size than its ground truth, or of another category.
    """
    categories = truth.content['categories']
    classes = {category['id']: index for index, category in enumerate(categories)}
    things = tuple(index for index, category in enumerate(categories) if category['isthing'])
    spec = labels.LabelSpec(len(categories), things, _DIVISOR, len(categories))
    segments, pixels = quality.PanopticQuality.zero(spec), quality.ConfusionMatrix.zero(spec)
    for one, other in pairs:
        maps = _numbered(truth, one, classes, spec), _numbered(prediction, other, classes, spec)
        truths.refuse_size(prediction.folder / other['file_name'], maps[1], maps[0])
        segments += quality.PanopticQuality.from_maps(*maps, spec)
        true, predicted = (spec.decode(each)[0] for each in maps)
        pixels += quality.ConfusionMatrix.from_maps(true, predicted, spec)
    return Counts(segments, pixels)


def panoptic(counted: quality.PanopticQuality) -> results.Means:
    """Computes PQ, SQ and RQ in per cent."""
    result = counted.result()
    pq, sq, rq = (results.Groups.of(result, measure) for measure in results.MEASURES)
    return results.Means(pq, sq, rq)


def miou(pairs: Sequence[tuple[str, str]], official: Sequence[int]) -> float | None:
    """Computes the mean IoU of pairs of label-id PNGs (prediction, ground truth), in per cent.

    Args:
      pairs: paths.
      official: label ids that count; pixels of others in the ground truth are void.
    """
    table = np.full(256, len(official), np.int32)
    table[list(official)] = range(len(official))
    spec = labels.LabelSpec(len(official), (), 1, len(official))
    total = quality.ConfusionMatrix.zero(spec)
    for predicted, true in pairs:
        total += quality.ConfusionMatrix.from_maps(
            table[png.load(true, 'L')], table[png.load(predicted, 'L')], spec
        )
    return 100 * total.result().miou if total.counts.any() else None


def differences(official: results.Result, own: results.Means) -> results.Means:
    """Subtracts official numbers from own ones, measure by measure, group by group."""
    return results.Means(
        own.pq and own.pq.minus(official.pq),
        own.sq and own.sq.minus(official.sq),
        own.rq and own.rq.minus(official.rq),
        results.difference(own.miou, official.miou),
    )


def ambiguous(truth: truths.Panoptic) -> list[Any]:
    """Lists the images of which panopticapi overlooks a crowd: it keeps one of each class in mind."""
    found = []
    for entry in truth.annotations:
        crowds = collections.Counter(s['category_id'] for s in entry['segments_info'] if s.get('iscrowd'))
        if any(count > 1 for count in crowds.values()):
            found.append(entry['image_id'])
    return found


def _numbered(
    panoptic: truths.Panoptic, entry: Entry, classes: Mapping[int, int], spec: labels.LabelSpec
) -> np.ndarray:
    """Reads panoptic ids, int32 [height, width]: segments count from 1 in their class, crowd is 0."""
    counts = collections.Counter[int]()
    numbers = {}
    for segment in entry['segments_info']:
        if segment['category_id'] not in classes:
            raise panoptic.strange(entry, segment['category_id'])
        semantic = classes[segment['category_id']]
        if segment.get('iscrowd'):
            numbers[segment['id']] = spec.encode(semantic, 0)
            continue
        counts[semantic] += 1
        numbers[segment['id']] = spec.encode(semantic, counts[semantic])
    renamed = {**entry, 'segments_info': [{'id': i, 'category_id': i} for i in numbers]}
    return panoptic.classes(renamed, numbers, spec.void)
