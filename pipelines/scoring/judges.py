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
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from panpipe.model import datasets, errors, labels
from panpipe.model.metrics import quality, results
from panpipe.pipelines.predictions import prediction_files
from panpipe.pipelines.scoring import instance_ap, official_python, own_score, summaries, truths

_DOCUMENT = 'panoptic.json'
_CITYSCAPES = datasets.SPECS['cityscapes_panoptic']
Entry = Mapping[str, Any]


def cityscapes(
    predictions: pathlib.Path, root: pathlib.Path, split: str, scratch: pathlib.Path, python: str
) -> results.Result:
    """Scores the predictions of a Cityscapes split by cityscapesScripts.

    Args:
      predictions: folder with `semantic/`, and as far as there are any `panoptic.json`, `panoptic/` and
        `instance/`. Absolute as `root`: the evaluators run elsewhere.
      root: raw data set.
      split: for example 'val'.
      scratch: empty folder for files on the way.
      python: the evaluators' interpreter.

    Raises:
      errors.InputError: files are missing or do not fit each other.
    """
    classes = None if has_panoptic(predictions) else truths.cityscapes_classes(root, split)
    truth = classes or truths.cityscapes(root, split, scratch, python)
    names = [str(entry['image_id']) for entry in truth.annotations]
    facts: dict[str, Any] = {}
    own = results.Means()
    if has_panoptic(predictions):
        prediction = truths.read(predictions / _DOCUMENT, predictions / 'panoptic')
        by_image = {entry['image_id']: entry for entry in prediction.annotations}
        pairs = _pairs(truth, prediction, lambda entry: entry['image_id'], by_image)
        facts = _files(truth, prediction)
        own = own_score.panoptic(own_score.count(truth, prediction, pairs).panoptic)
    semantic = [str(predictions / 'semantic' / f'{name}.png') for name in names]
    _check_files(semantic)
    truth_files = list(truths.label_id_files(truth, root, split, scratch))
    _announce('cityscapesScripts', len(names))
    facts['semantic'] = list(zip(semantic, truth_files, strict=True))
    found = official_python.judge(python, 'cityscapes.py', facts, scratch)
    miou = own_score.miou(facts['semantic'], sorted(_CITYSCAPES.from_official))
    own = dataclasses.replace(own, miou=miou)
    programs = ['evalPanopticSemanticLabeling'] * has_panoptic(predictions) + [
        'evalPixelLevelSemanticLabeling'
    ]
    evaluator = f'cityscapesScripts {found["version"]} ({", ".join(programs)})'
    score = summaries.official(found, found['miou'], found['iou'], evaluator, len(names))
    instance = instance_ap.cityscapes(predictions, root, split, scratch, python)
    return _with_own(score, own, instance, own_score.ambiguous(truth))


def coco(
    predictions: pathlib.Path, root: pathlib.Path, split: str, scratch: pathlib.Path, python: str
) -> results.Result:
    """Scores the predictions of a split in COCO layout by hotcoco and pycocotools, as `cityscapes` does.

    There is no official mIoU; that figure is panpipe's.
    """
    truth = truths.coco(root, split)
    own = f'panpipe {importlib.metadata.version("panpipe")}'
    names = [category['name'] for category in truth.content['categories']]
    if not has_panoptic(predictions):
        nothing: dict[str, Any] = {'groups': {}, 'per_class': {}}
        matrix = _classes(truth, predictions)
        return _of_classes(nothing, matrix, names, f'mIoU by {own}', len(truth.annotations))
    prediction = truths.read(predictions / _DOCUMENT, predictions / 'panoptic')
    by_name = {_stem(entry): entry for entry in prediction.annotations}
    pairs = _pairs(truth, prediction, _stem, by_name)
    paths = truths.renumbered(truth, [predicted for _, predicted in pairs], scratch)
    facts = _files(truth, prediction)
    facts['ground_truth_json'], facts['prediction_json'] = map(str, paths)
    _announce('hotcoco', len(pairs))
    counted = own_score.count(truth, prediction, pairs)
    found = official_python.judge(python, 'coco.py', facts, scratch)
    evaluator = f'hotcoco {found["version"]} (panoptic.pq_compute), mIoU by {own}'
    score = _of_classes(found, counted.semantic, names, evaluator, len(pairs))
    instance = instance_ap.coco(predictions, root, split, truth, pairs)
    return _with_own(score, own_score.panoptic(counted.panoptic), instance, own_score.ambiguous(truth))


def has_panoptic(predictions: pathlib.Path) -> bool:
    """Returns whether a folder is of an instance-aware model, or should be: not of label ids alone."""
    return (predictions / _DOCUMENT).exists() or not (predictions / 'semantic').is_dir()


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


def _classes(truth: truths.Panoptic, predictions: pathlib.Path) -> quality.ConfusionMatrix:
    """Counts pixels of `semantic/*.png` (official ids) by class."""
    categories = truth.content['categories']
    class_of = {category['id']: index for index, category in enumerate(categories)}
    void = len(categories)
    table = np.full(2**16, void, np.int32)
    table[list(class_of)] = list(class_of.values())
    spec = labels.LabelSpec(void, (), 1, void)
    total = quality.ConfusionMatrix.zero(spec)
    paths = [str(predictions / 'semantic' / f'{_stem(entry)}.png') for entry in truth.annotations]
    _check_files(paths)
    for entry, path in zip(truth.annotations, paths, strict=True):
        maps = truth.classes(entry, class_of, void), table[prediction_files.class_ids(path)]
        truths.refuse_size(path, maps[1], maps[0])
        total += quality.ConfusionMatrix.from_maps(*maps, spec)
    return total


def _files(truth: truths.Panoptic, prediction: truths.Panoptic) -> dict[str, Any]:
    return {
        'ground_truth_json': str(truth.path),
        'ground_truth_folder': str(truth.folder),
        'prediction_json': str(prediction.path),
        'prediction_folder': str(prediction.folder),
    }


def _stem(entry: Entry) -> str:
    return pathlib.PurePath(entry['file_name']).stem


def _pairs(
    truth: truths.Panoptic,
    prediction: truths.Panoptic,
    key: Callable[[Entry], str],
    found: Mapping[str, Entry],
) -> list[tuple[Entry, Entry]]:
    """Joins the ground truth's images with their predictions, none of which may be missing."""
    missing = [key(entry) for entry in truth.annotations if key(entry) not in found]
    if missing:
        raise errors.InputError(
            f'{prediction.path} lacks {len(missing)} of {len(truth.annotations)} images of the ground truth, '
            f'the first is {missing[0]}; predict all images of the split'
        )
    pairs = [(entry, found[key(entry)]) for entry in truth.annotations]
    if not pairs:
        raise errors.InputError(f'{truth.path} has no annotation')
    _check_files([str(prediction.folder / predicted['file_name']) for _, predicted in pairs])
    return pairs


def _check_files(paths: Sequence[str]) -> None:
    missing = [path for path in paths if not os.path.isfile(path)]
    if missing:
        raise errors.InputError(
            f'{len(missing)} of {len(paths)} predicted PNGs are missing, first {missing[0]}; predict again'
        )


def _announce(evaluator: str, number: int) -> None:
    print(f'panpipe score: {evaluator} looks at {number} images', file=sys.stderr, flush=True)
