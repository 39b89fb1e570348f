# SPDX-License-Identifier: Apache-2.0
"""Average precision of instance files, by the official evaluators: cityscapesScripts and pycocotools."""

import importlib.metadata
import json
import pathlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from pycocotools import mask as coco_mask

from panpipe.model import errors
from panpipe.model.metrics import average_precision, results
from panpipe.pipelines.formats import png, segments
from panpipe.pipelines.scoring import official_python, truths

_DETECTIONS = 'instances.json'
_TRUTH_FORMS = ('annotations/instances_{}2017.json', 'annotations/instances_{}.json')
_MEASURES = ('ap', 'ap50', 'ap75', 'ap_small', 'ap_medium', 'ap_large')
# Of COCOeval.eval['precision'] [thresholds, recalls, classes, areas, detections]: 0.5; all areas; 100.
_AT_50, _ALL_AREAS, _MOST = 0, 0, -1


def cityscapes(
    predictions: pathlib.Path, root: pathlib.Path, split: str, scratch: pathlib.Path, python: str
) -> results.Precision | None:
    """Scores `instance/*.txt` by evalInstanceLevelSemanticLabeling.

    Args:
      predictions: folder of the predictions, absolute as `root`: the evaluator runs elsewhere.
      root: raw data set.
      split: for example 'val'.
      scratch: folder for files on the way.
      python: the evaluators' interpreter.

    Returns:
      None where there are no instance files.

    Raises:
      errors.InputError: the text file of an image is missing.
    """
    folder = predictions / 'instance'
    if not folder.is_dir():
        return None
    suffix = '_gtFine_instanceIds.png'
    found = sorted(root.glob(f'gtFine/{split}/*/*{suffix}'))
    if not found:
        return results.Precision(f'{root}/gtFine/{split} has no *{suffix} files')
    pairs = [(folder / f'{path.name.removesuffix(suffix)}.txt', path) for path in found]
    missing = [text for text, _ in pairs if not text.is_file()]
    if missing:
        raise errors.InputError(f'{missing[0]} is missing; predict all images of the split')
    facts = {
        'pairs': [[str(text), str(path)] for text, path in pairs],
        'folder': str(folder),
        'cache': str(scratch / 'instances_of_the_ground_truth.json'),
    }
    judged = official_python.judge(python, 'cityscapes_instances.py', facts, scratch)
    return _summary(judged, f'cityscapesScripts {judged["version"]} (evalInstanceLevelSemanticLabeling)')


def coco(
    predictions: pathlib.Path,
    root: pathlib.Path,
    split: str,
    truth: truths.Panoptic,
    pairs: Sequence[tuple[Mapping[str, Any], Mapping[str, Any]]],
) -> results.Precision | None:
    """Scores `instances.json` by pycocotools, as `cityscapes` does.

    `pairs` joins the entries of an image in the ground truth and in the prediction, whose ids may differ.

    The ground truth is the data set's own instance file. Where there is none the things of the panoptic
    annotation take its place.
    """
    path = predictions / _DETECTIONS
    if not path.is_file():
        return None
    detections = json.loads(path.read_text())
    names = {c['id']: c['name'] for c in truth.content['categories'] if c.get('isthing')}
    if not detections:
        return results.Precision(f'{path} lists no detection')
    content, source = _truth(root, split, truth, names)
    if not content['annotations']:
        return results.Precision('no thing occurs in the ground truth')
    evaluator = f'pycocotools {importlib.metadata.version("pycocotools")} (COCOeval, segm, {source})'
    images = {predicted['image_id']: true['image_id'] for true, predicted in pairs}
    return _summary(judge(content, _renumbered(images, detections, path)), evaluator)


def judge(truth: Mapping[str, Any], detections: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Runs COCOeval.

    Args:
      truth: content of a COCO instance file.
      detections: COCO results.

    Returns:
      Fractions: those of `_MEASURES` that are defined, and `ap` and `ap50` of each class by name.
    """
    evaluation = average_precision.judge(truth, detections)
    # -1 stands for what is not defined.
    whole = {key: float(value) for key, value in zip(_MEASURES, evaluation.stats, strict=False) if value >= 0}
    names = {category['id']: category['name'] for category in truth['categories']}
    precision = evaluation.eval['precision'][..., _ALL_AREAS, _MOST]
    classes = {
        names[number]: {'ap': float(curves.mean()), 'ap50': float(curves[_AT_50].mean())}
        for number, curves in zip(evaluation.params.catIds, np.moveaxis(precision, 2, 0), strict=True)
        if curves.min() >= 0
    }
    return {**whole, 'per_class': classes}


def _truth(
    root: pathlib.Path, split: str, truth: truths.Panoptic, names: Mapping[int, str]
) -> tuple[dict[str, Any], str]:
    """Reads the instance file, or makes its content; says which."""
    for form in _TRUTH_FORMS:
        path = root / form.format(split)
        if path.is_file():
            return json.loads(path.read_text()), path.name
    images, annotations = [], []
    for entry in truth.annotations:
        colors = png.load(str(truth.folder / entry['file_name']), 'RGB')
        images.append({'id': entry['image_id'], 'height': colors.shape[0], 'width': colors.shape[1]})
        annotations += list(_annotations(entry, segments.ids(colors), names))
    numbered = [{**one, 'id': number} for number, one in enumerate(annotations, 1)]
    categories = [{'id': number, 'name': name} for number, name in names.items()]
    return {'images': images, 'annotations': numbered, 'categories': categories}, truth.path.name


def _annotations(
    entry: Mapping[str, Any], ids: np.ndarray, names: Mapping[int, str]
) -> Iterator[dict[str, Any]]:
    for segment in entry['segments_info']:
        mask = ids == segment['id']
        if segment['category_id'] in names and mask.any():
            yield {
                'image_id': entry['image_id'],
                'category_id': segment['category_id'],
                'segmentation': coco_mask.encode(np.asfortranarray(mask, np.uint8)),
                'area': int(mask.sum()),
                'iscrowd': int(segment.get('iscrowd', 0)),
            }


def _renumbered(
    images: Mapping[Any, Any], detections: Sequence[Mapping[str, Any]], path: pathlib.Path
) -> list[dict[str, Any]]:
    """Gives detections the image ids of the ground truth."""
    try:
        return [{**entry, 'image_id': images[entry['image_id']]} for entry in detections]
    except (KeyError, TypeError) as error:
        raise errors.InputError(
            f'{path} has a detection of the image {error}, which panoptic.json lacks; run `panpipe validate`'
        ) from error


def _summary(judged: Mapping[str, Any], evaluator: str) -> results.Precision:
    """Makes a result of fractions."""
    if 'undefined' in judged:
        return results.Precision(judged['undefined'])
    classes = {
        name: results.ClassPrecision(100 * one['ap'], 100 * one['ap50'])
        for name, one in judged['per_class'].items()
    }
    means = {key: 100 * judged[key] for key in _MEASURES if key in judged}
    return results.Precision(evaluator=evaluator, per_class=classes, **means)
