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
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from panpipe.model import datasets, errors
from panpipe.model.metrics import quality, results
from panpipe.pipelines.formats import cityscapes as formats_cityscapes
from panpipe.pipelines.formats import coco as formats_coco
from panpipe.pipelines.formats import layout
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
    has_segments = has_panoptic(predictions)
    truth = truths.cityscapes(root, split, scratch, python) if has_segments or not label_ids else None
    facts: dict[str, Any] = {}
    own = results.Means()
    if has_segments and truth:
        prediction = panoptic_files.open_predictions(predictions, truth)
        pairs = joined.pairs(truth, prediction, formats_cityscapes, there)
        names = [str(annotation.image_id) for annotation, _ in pairs]
        own = own_score.panoptic(own_score.count(truth, prediction, pairs).panoptic)
        facts = _files(truth, prediction, pairs, scratch, numbered=False)
    else:
        every = list(truth.by_name) if truth else sorted(label_ids)
        folder = predictions / layout.SEMANTIC
        names = joined.part(
            every, lambda name: name in there or (folder / f'{name}.png').is_file(), bool(there)
        )
    semantic = [str(predictions / layout.SEMANTIC / f'{name}.png') for name in names]
    _check_files(semantic)
    facts['semantic'] = list(
        zip(semantic, truths.label_id_files(label_ids, truth, names, scratch), strict=True)
    )
    _announce('cityscapesScripts', len(names))
    miou = own_score.miou(facts['semantic'], sorted(_CITYSCAPES.from_official))
    own = dataclasses.replace(own, miou=miou)
    found = official_python.judge(python, 'cityscapes.py', facts, scratch)
    programs = ['evalPanopticSemanticLabeling'] * has_segments + ['evalPixelLevelSemanticLabeling']
    evaluator = f'cityscapesScripts {found["version"]} ({", ".join(programs)})'
    score = summaries.official(found, found['miou'], found['iou'], evaluator, len(names))
    instance = instance_ap.cityscapes((predictions, root), split, names, scratch, python)
    ambiguous = own_score.ambiguous([annotation for annotation, _ in pairs]) if has_segments else []
    return _with_own(score, own, instance, ambiguous)


def coco(
    predictions: pathlib.Path,
    root: pathlib.Path,
    split: str,
    scratch: pathlib.Path,
    python: str,
    spec: datasets.DatasetSpec | None = None,
) -> results.Result:
    """Scores the predictions of a split in COCO layout by hotcoco and pycocotools, as `cityscapes` does.

    There is no official mIoU; that figure is panpipe's. `spec` tells of categories what the file does not.
    """
    truth, known = truths.coco(root, split, scratch, spec)
    there = truths.on_disk(root, split, known)
    own = f'panpipe {importlib.metadata.version("panpipe")}'
    names = [str(category.name) for category in truth.categories]
    if not has_panoptic(predictions):
        nothing: dict[str, Any] = {'groups': {}, 'per_class': {}}
        folder = predictions / layout.SEMANTIC
        chosen = joined.part(
            list(truth.by_name),
            lambda name: (
                bool(there & {name, truth.by_name[name].image_id}) or (folder / f'{name}.png').is_file()
            ),
            bool(there),
        )
        return _of_classes(
            nothing, _classes(truth, predictions, chosen), names, f'mIoU by {own}', len(chosen)
        )
    prediction = panoptic_files.open_predictions(predictions, truth)
    pairs = joined.pairs(truth, prediction, formats_coco, there)
    _announce('hotcoco', len(pairs))
    counted = own_score.count(truth, prediction, pairs)
    facts = _files(truth, prediction, pairs, scratch, numbered=True)
    found = official_python.judge(python, 'coco.py', facts, scratch)
    evaluator = f'hotcoco {found["version"]} (panoptic.pq_compute), mIoU by {own}'
    score = _of_classes(found, counted.semantic, names, evaluator, len(pairs))
    instance = instance_ap.coco(predictions, root, split, truth, pairs)
    ambiguous = own_score.ambiguous([annotation for annotation, _ in pairs])
    return _with_own(score, own_score.panoptic(counted.panoptic), instance, ambiguous)


def has_panoptic(predictions: pathlib.Path) -> bool:
    """Returns whether a folder is of an instance-aware model, or should be: not of label ids alone."""
    return (predictions / layout.DOCUMENT).exists() or not (predictions / layout.SEMANTIC).is_dir()


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
    ambiguous: Sequence[str | int],
) -> results.Result:
    """Adds the instance score, our numbers, and by how much these differ from the official ones."""
    return dataclasses.replace(
        score,
        instance=instance,
        ours=own,
        difference=own_score.differences(score, own),
        ambiguous_images=tuple(ambiguous),
    )


def _classes(
    truth: panoptic_files.Panoptic, predictions: pathlib.Path, chosen: Sequence[str]
) -> quality.ConfusionMatrix:
    """Counts pixels of `semantic/*.png` (official ids) by class."""
    void = len(truth.categories)
    table = np.full(2**16, void, np.int32)
    for index, category in enumerate(truth.categories):
        table[category.id] = index
    total = quality.ConfusionMatrix.zero(truth.codec)
    paths = [str(predictions / layout.SEMANTIC / f'{name}.png') for name in chosen]
    _check_files(paths)
    for name, path in zip(chosen, paths, strict=True):
        true = truth.codec.decode(truth.read(truth.by_name[name]).panoptic)[0]
        predicted = table[prediction_files.class_ids(path)]
        own_score.refuse_size(path, predicted, true)
        total += quality.ConfusionMatrix.from_maps(true, predicted, truth.codec)
    return total


def _files(
    truth: panoptic_files.Panoptic,
    prediction: panoptic_files.Panoptic,
    pairs: Sequence[own_score.Pair],
    scratch: pathlib.Path,
    *,
    numbered: bool,
) -> dict[str, Any]:
    """Writes what the evaluators read, and names it; predictions get the ids of the ground truth."""
    predicted = [dataclasses.replace(other, image_id=one.image_id) for one, other in pairs]
    folders = scratch / 'ground_truth', scratch / 'predictions'
    return {
        'ground_truth_json': truth.export([one for one, _ in pairs], folders[0], numbered=numbered),
        'ground_truth_folder': str(folders[0]),
        'prediction_json': prediction.export(predicted, folders[1], numbered=numbered),
        'prediction_folder': str(folders[1]),
    }


def _check_files(paths: Sequence[str]) -> None:
    missing = [path for path in paths if not os.path.isfile(path)]
    if missing:
        raise errors.InputError(
            f'{len(missing)} of {len(paths)} predicted PNGs are missing, first {missing[0]}; predict again'
        )


def _announce(evaluator: str, number: int) -> None:
    print(f'panpipe score: {evaluator} looks at {number} images', file=sys.stderr, flush=True)
