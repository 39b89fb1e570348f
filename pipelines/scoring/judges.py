# SPDX-License-Identifier: Apache-2.0
"""Official evaluators on the predictions of a split, as far as there are files for them, and our own numbers.

The evaluators run unmodified in a Python of their own: cityscapesScripts for Cityscapes, and hotcoco, which
follows panopticapi, for COCO. pycocotools runs in this one.
"""

import dataclasses
import importlib.metadata
import os
import pathlib
import sys
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np

from panpipe.model import datasets, errors
from panpipe.model.metrics import quality, results
from panpipe.pipelines.predictions import prediction_files
from panpipe.pipelines.scoring import (
    instance_ap,
    joined,
    official_python,
    own_score,
    panoptic_files,
    summaries,
    truths,
)
from panpipe.pipelines.scoring import pairs as scoring_pairs
from panpipe.pipelines.sources import documents

_CITYSCAPES = datasets.SPECS['cityscapes_panoptic']


def cityscapes(
    predictions: pathlib.Path,
    root: pathlib.Path,
    split: str,
    scratch: pathlib.Path,
    python: str,
    spec: datasets.DatasetSpec | None = None,
) -> results.Result:
    """Scores the predictions of a Cityscapes split by cityscapesScripts.

    Args:
      predictions: folder with `semantic/`, and as far as there are any `panoptic.json`, `panoptic/` and
        `instance/`. Absolute as `root`: the evaluators run elsewhere.
      root: raw data set.
      split: for example 'val'.
      scratch: empty folder for files on the way.
      python: the evaluators' interpreter.
      spec: is not needed here.

    Raises:
      errors.InputError: files are missing or do not fit each other.
    """
    del spec
    there = truths.on_disk(root, split, _CITYSCAPES)
    root = truths.with_maps(root, split, scratch)
    label_ids = truths.label_ids(root, split)
    needs_segments = prediction_files.has_panoptic(str(predictions)) or not label_ids
    truth = truths.cityscapes(root, split, scratch, python) if needs_segments else None
    found = _open_cityscapes(predictions, truth)
    facts: dict[str, Any] = {}
    own, pairs = results.Means(), list[own_score.Pair]()
    if truth and found.has_panoptic:
        pairs = joined.pairs(truth, found, there)
        names = [str(pair.truth.image_id) for pair in pairs]
        own = own_score.panoptic(own_score.count(truth, found, pairs).panoptic)
        facts = _files(truth, found, pairs, scratch, numbered=False)
    else:
        names = _with_classes(list(truth.by_name) if truth else sorted(label_ids), found, there)
    true = truths.label_id_files(label_ids, truth, names, scratch)
    facts['semantic'] = list(zip(_class_pngs(found, names), true, strict=True))
    _announce('cityscapesScripts', len(names))
    own = dataclasses.replace(own, miou=own_score.miou(facts['semantic'], sorted(_CITYSCAPES.from_official)))
    score = _by_cityscapes_scripts(facts, scratch, python)
    instance = instance_ap.cityscapes((predictions, root), split, names, scratch, python)
    return _with_own(score, own, instance, pairs)


def _open_cityscapes(
    predictions: pathlib.Path, truth: panoptic_files.Panoptic | None
) -> prediction_files.Predictions:
    classes = truth.classes if truth else prediction_files.Classes.of(_CITYSCAPES)
    return prediction_files.open_folder(str(predictions), 'cityscapes', classes)


def _by_cityscapes_scripts(facts: Mapping[str, Any], scratch: pathlib.Path, python: str) -> results.Result:
    """Lets cityscapesScripts judge the label ids, and the panoptic files where `facts` names such."""
    found = official_python.judge(python, 'cityscapes.py', facts, scratch)
    programs = ['evalPanopticSemanticLabeling'] * ('prediction_json' in facts)
    programs.append('evalPixelLevelSemanticLabeling')
    evaluator = f'cityscapesScripts {found["version"]} ({", ".join(programs)})'
    return summaries.official(found, found['miou'], found['iou'], evaluator, len(facts['semantic']))


def coco(
    predictions: pathlib.Path,
    root: pathlib.Path,
    split: str,
    scratch: pathlib.Path,
    python: str,
    spec: datasets.DatasetSpec | None = None,
) -> results.Result:
    """Scores the predictions of a split in COCO layout by hotcoco and pycocotools, as `cityscapes` does.

    There is no official mIoU; that figure is panpipe's. `spec` supplies what the file lacks on categories.
    """
    truth, known = truths.coco(root, split, scratch, spec)
    there = truths.on_disk(root, split, known)
    found = prediction_files.open_folder(str(predictions), 'coco', truth.classes)
    own = f'panpipe {importlib.metadata.version("panpipe")}'
    names = [str(category.name) for category in truth.categories]
    if not found.has_panoptic:
        chosen = joined.part(
            list(truth.by_name),
            lambda name: bool(there & {name, truth.by_name[name].image_id}) or _has_classes(found, name),
            bool(there),
        )
        counted = _classes(truth, found, chosen)
        return _of_classes({'groups': {}, 'per_class': {}}, counted, names, f'mIoU by {own}', len(chosen))
    pairs = joined.pairs(truth, found, there)
    _announce('hotcoco', len(pairs))
    counts = own_score.count(truth, found, pairs)
    facts = _files(truth, found, pairs, scratch, numbered=True)
    judged = official_python.judge(python, 'coco.py', facts, scratch)
    evaluator = f'hotcoco {judged["version"]} (panoptic.pq_compute), mIoU by {own}'
    score = _of_classes(judged, counts.semantic, names, evaluator, len(pairs))
    ids = {found.annotation(pair.name).image_id: pair.truth for pair in pairs}
    instance = instance_ap.coco(predictions, root, split, truth, ids)
    return _with_own(score, own_score.panoptic(counts.panoptic), instance, pairs)


def _of_classes(
    found: Mapping[str, Any],
    matrix: quality.ConfusionMatrix,
    names: Sequence[str],
    evaluator: str,
    num_images: int,
) -> results.Result:
    """Makes a result whose mIoU is of our confusion matrix."""
    semantic = matrix.result()
    ious = {
        name: float(iou) for name, iou in zip(names, semantic.per_class, strict=True) if not np.isnan(iou)
    }
    return summaries.official(found, semantic.miou if ious else None, ious, evaluator, num_images)


def _with_own(
    score: results.Result,
    own: results.Means,
    instance: results.Precision | None,
    pairs: Sequence[own_score.Pair],
) -> results.Result:
    """Adds the instance score, our numbers, and by how much these differ from the official ones."""
    return dataclasses.replace(
        score,
        instance=instance,
        ours=own,
        difference=own_score.differences(score, own),
        ambiguous_images=tuple(own_score.ambiguous([pair.truth for pair in pairs])),
    )


def _classes(
    truth: panoptic_files.Panoptic, found: prediction_files.Predictions, chosen: Sequence[str]
) -> quality.ConfusionMatrix:
    """Counts pixels of `semantic/*.png` (official ids) by class."""
    total = quality.ConfusionMatrix.zero(truth.codec)
    for name, path in zip(chosen, _class_pngs(found, chosen), strict=True):
        true = truth.codec.decode(truth.read(truth.by_name[name]).panoptic)[0]
        predicted = found.semantic(name, None)
        scoring_pairs.refuse_size(path, predicted, true)
        total += quality.ConfusionMatrix.from_maps(true, predicted, truth.codec)
    return total


def _files(
    truth: panoptic_files.Panoptic,
    found: prediction_files.Predictions,
    pairs: Sequence[own_score.Pair],
    scratch: pathlib.Path,
    *,
    numbered: bool,
) -> dict[str, Any]:
    """Writes what the evaluators read, and names it; predictions get the ids of the ground truth."""
    true = ((truth.png(pair.truth), pair.truth) for pair in pairs)
    predicted = (
        (
            found.png(pair.name),
            dataclasses.replace(found.annotation(pair.name), image_id=pair.truth.image_id),
        )
        for pair in pairs
    )
    folders = scratch / 'ground_truth', scratch / 'predictions'
    paths = [
        panoptic_files.export(chosen, truth.categories, folder, numbered=numbered)
        for chosen, folder in zip((true, predicted), folders, strict=True)
    ]
    return {
        'ground_truth_json': paths[0],
        'ground_truth_folder': str(folders[0]),
        'prediction_json': paths[1],
        'prediction_folder': str(folders[1]),
    }


def _with_classes(
    every: Sequence[str], found: prediction_files.Predictions, there: Collection[documents.ImageId]
) -> list[str]:
    """Chooses images that were downloaded, or of which there is a PNG of class ids."""
    return joined.part(every, lambda name: name in there or _has_classes(found, name), bool(there))


def _has_classes(found: prediction_files.Predictions, name: str) -> bool:
    return os.path.isfile(found.class_png(name))


def _class_pngs(found: prediction_files.Predictions, names: Sequence[str]) -> list[str]:
    """Returns the paths of the PNGs of class ids of images, none of which may be missing."""
    missing = [found.class_png(name) for name in names if not _has_classes(found, name)]
    if missing:
        raise errors.InputError(
            f'{len(missing)} of {len(names)} predicted PNGs are missing, first {missing[0]}; predict again'
        )
    return [found.class_png(name) for name in names]


def _announce(evaluator: str, number: int) -> None:
    print(f'panpipe score: {evaluator} looks at {number} images', file=sys.stderr, flush=True)
