# SPDX-License-Identifier: Apache-2.0
"""Runs the evaluators of cityscapesScripts, unmodified, and writes what they find as JSON.

Usage: python cityscapes.py FACTS OUTPUT, where FACTS is a JSON file with
  ground_truth_json, ground_truth_folder, prediction_json, prediction_folder: COCO panoptic form, label ids,
    if there are any;
  semantic: list of [prediction PNG, ground truth PNG], label ids.
"""

import importlib.metadata
import json
import math
import sys
from typing import Any

from cityscapesscripts.evaluation import (  # type: ignore[import-not-found]
    evalPanopticSemanticLabeling,
    evalPixelLevelSemanticLabeling,
)

GROUPS = {'all': None, 'things': True, 'stuff': False}


def judge_segments(facts: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Does what evaluatePanoptic does, which divides by zero where no thing or no stuff occurs."""
    with open(facts['ground_truth_json']) as file:
        truth = json.load(file)
    with open(facts['prediction_json']) as file:
        predicted = {entry['image_id']: entry for entry in json.load(file)['annotations']}
    categories = {entry['id']: entry for entry in truth['categories']}
    pairs = [(entry, predicted[entry['image_id']]) for entry in truth['annotations']]
    counts = evalPanopticSemanticLabeling.pq_compute_multi_core(
        pairs, facts['ground_truth_folder'], facts['prediction_folder'], categories
    )
    occurring = {i for i, c in counts.pq_per_cat.items() if c.tp + c.fp + c.fn}
    groups: dict[str, Any] = {}
    classes: dict[str, Any] = {}
    for name, is_thing in GROUPS.items():
        members = {i for i, c in categories.items() if is_thing in (None, c['isthing'] == 1)}
        if members & occurring:
            groups[name], found = counts.pq_average(categories, isthing=is_thing)
            classes.update({categories[i]['name']: found[i] for i in members & occurring})
    return groups, classes


def judge_pixels(pairs: list[list[str]]) -> tuple[float | None, dict[str, float]]:
    """Runs evaluateImgLists without its instance-weighted scores, which need `*_instanceIds.png` files."""
    args = evalPixelLevelSemanticLabeling.args
    args.evalInstLevelScore = False
    args.JSONOutput = False
    args.quiet = True
    found = evalPixelLevelSemanticLabeling.evaluateImgLists(
        [pair[0] for pair in pairs], [pair[1] for pair in pairs], args
    )
    classes = {name: iou for name, iou in found['classScores'].items() if not math.isnan(iou)}
    mean = found['averageScoreClasses']
    return None if math.isnan(mean) else mean, classes


def main() -> None:
    """Judges segments and pixels."""
    with open(sys.argv[1]) as file:
        facts = json.load(file)
    groups, classes = judge_segments(facts) if 'prediction_json' in facts else ({}, {})
    miou, ious = judge_pixels(facts['semantic'])
    found = {
        'groups': groups,
        'per_class': classes,
        'miou': miou,
        'iou': ious,
        'version': importlib.metadata.version('cityscapesscripts'),
    }
    with open(sys.argv[2], 'w') as file:
        json.dump(found, file, allow_nan=False)


if __name__ == '__main__':
    main()
