# SPDX-License-Identifier: Apache-2.0
"""Average precision of instance files, by the official evaluators: cityscapesScripts and pycocotools."""

import importlib.metadata
import pathlib
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from pycocotools import mask as coco_mask

from panpipe.model import errors, image_files
from panpipe.model.metrics import average_precision, results
from panpipe.model.storage import files
from panpipe.pipelines.formats import layout, segments
from panpipe.pipelines.scoring import official_python, panoptic_files
from panpipe.pipelines.sources import detections, documents, images, instances
from panpipe.pipelines.sources import names as file_names

_TRUTH_FORMS = ('annotations/instances_{}2017.json', 'annotations/instances_{}.json')
_MEASURES = ('ap', 'ap50', 'ap75', 'ap_small', 'ap_medium', 'ap_large')
# Of COCOeval.eval['precision'] [thresholds, recalls, classes, areas, detections]: 0.5; all areas; 100.
_AT_50, _ALL_AREAS, _MOST = 0, 0, -1


def cityscapes(
    places: tuple[pathlib.Path, pathlib.Path],
    split: str,
    names: Sequence[str],
    scratch: pathlib.Path,
    python: str,
) -> results.Precision | None:
    """Scores `instance/*.txt` by evalInstanceLevelSemanticLabeling.

    Args:
      places: folder of the predictions, and of the raw data set, absolute: the evaluator runs elsewhere.
      split: for example 'val'.
      names: of the images that are judged.
      scratch: folder for files on the way.
      python: the evaluators' interpreter.

    Returns:
      None where there are no instance files.

    Raises:
      errors.InputError: the text file of an image is missing.
    """
    predictions, root = places
    folder = predictions / layout.INSTANCE
    if not folder.is_dir():
        return None
    suffix = '_gtFine_instanceIds.png'
    wanted = set(names)
    there = sorted(root.glob(f'gtFine/{split}/*/*{suffix}'))
    found = [path for path in there if file_names.normal(path.name).removesuffix(suffix) in wanted]
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
    truth: panoptic_files.Panoptic,
    ids: Mapping[documents.ImageId, documents.Annotation],
) -> results.Precision | None:
    """Scores `instances.json` by pycocotools, as `cityscapes` does.

    The ground truth is the data set's own instance file. Where there is none the things of the panoptic
    annotation take its place.

    Args:
      predictions: their folder.
      root: raw data set.
      split: for example 'val'.
      truth: its panoptic files.
      ids: annotations of the judged images in the ground truth, by the ids of the predictions.
    """
    path = predictions / layout.INSTANCES
    if not path.is_file():
        return None
    content, source = _truth(root, split, truth, list(ids.values()))
    found = detections.read(str(path), ids.keys())
    if not content['annotations']:
        return results.Precision('no thing occurs in the ground truth')
    # COCOeval sorts ids, which may be numbers and texts.
    numbers = {image['id']: number for number, image in enumerate(content['images'], 1)}
    content['images'] = [{**image, 'id': numbers[image['id']]} for image in content['images']]
    content['annotations'] = [{**one, 'image_id': numbers[one['image_id']]} for one in content['annotations']]
    judged = [{**one, 'image_id': numbers.get(ids[one['image_id']].image_id)} for one in found]
    evaluator = f'pycocotools {importlib.metadata.version("pycocotools")} (COCOeval, segm, {source})'
    return _summary(judge(content, [one for one in judged if one['image_id'] is not None]), evaluator)


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
    root: pathlib.Path,
    split: str,
    truth: panoptic_files.Panoptic,
    judged: Sequence[documents.Annotation],
) -> tuple[dict[str, Any], str]:
    """Reads the instance file, or makes its content; says which."""
    things = {one.id: str(one.name) for one in truth.categories if one.is_thing}
    for form in _TRUTH_FORMS:
        path = root / form.format(split)
        if path.is_file():
            is_made = root not in pathlib.Path(truth.document.path).parents
            return _file(str(path), truth, judged, things, need_masks=not is_made), path.name
    annotations = []
    for one in judged:
        annotations += list(_annotations(one, truth, things))
    numbered = [{**one, 'id': number} for number, one in enumerate(annotations, 1)]
    categories = [{'id': number, 'name': name} for number, name in things.items()]
    images = [_image(one.image_id, image_files.header(truth.png(one)).size) for one in judged]
    source = pathlib.PurePath(truth.document.path).name
    return {'images': images, 'annotations': numbered, 'categories': categories}, source


def _file(
    path: str,
    truth: panoptic_files.Panoptic,
    judged: Sequence[documents.Annotation],
    things: Mapping[int, str],
    *,
    need_masks: bool,
) -> dict[str, Any]:
    """Reads an instance file as far as it is of judged images, and says what was left out of it."""
    images = []
    for one in judged:
        size = image_files.header(truth.png(one)).size
        images.append(instances.Judged(one.image_id, truth.document.image_name(one), size))
    stuff = [str(one.name) for one in truth.categories if not one.is_thing]
    found = instances.read(path, images, things, stuff, need_masks=need_masks)
    if found.left_out:
        print(f'panpipe score: {pathlib.PurePath(path).name}: left out: {found.left_out}', file=sys.stderr)
    return {
        'images': [_image(image.id, image.size) for image in found.images],
        'annotations': list(found.annotations),
        'categories': [{'id': number, 'name': name} for number, name in found.categories.items()],
    }


def _image(image_id: documents.ImageId, size: tuple[int, int]) -> dict[str, Any]:
    return {'id': image_id, 'height': size[0], 'width': size[1]}


def _annotations(
    annotation: documents.Annotation, truth: panoptic_files.Panoptic, things: Mapping[int, str]
) -> Iterator[dict[str, Any]]:
    path = truth.png(annotation)
    ids = segments.ids(images.colors(files.read(path), path))
    for segment in annotation.segments:
        mask = ids == segment.id
        if segment.category_id in things and mask.any():
            yield {
                'image_id': annotation.image_id,
                'category_id': segment.category_id,
                'segmentation': coco_mask.encode(np.asfortranarray(mask, np.uint8)),
                'area': int(mask.sum()),
                'iscrowd': int(segment.is_crowd),
            }


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
