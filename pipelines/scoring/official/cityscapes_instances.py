# SPDX-License-Identifier: Apache-2.0
"""Runs the instance evaluator of cityscapesScripts, unmodified, and writes what it finds as JSON.

Usage: python cityscapes_instances.py FACTS OUTPUT, where FACTS is a JSON file with
  pairs: list of [prediction text file, ground truth `*_gtFine_instanceIds.png`];
  folder: of the predictions; all masks lie below it;
  cache: file for what the evaluator finds in the ground truth. Its own place for that is beside the program,
    where it would take what it finds there for any data set.
The evaluator leaves a file in the current directory.
"""

import importlib.metadata
import json
import math
import sys
import warnings
from typing import Any

from cityscapesscripts.evaluation import (  # type: ignore[import-not-found]
    evalInstanceLevelSemanticLabeling,
)


def judge(facts: dict[str, Any]) -> dict[str, Any]:
    """Returns average precisions as fractions; a class is left out where the evaluator has no number."""
    args = evalInstanceLevelSemanticLabeling.args
    args.gtInstancesFile, args.predictionPath = facts['cache'], facts['folder']
    args.quiet, args.JSONOutput = True, False
    predictions, truths = map(list, zip(*facts['pairs'], strict=True))  # it takes a tuple for one file
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')  # means of nothing, where a class does not occur
            found = evalInstanceLevelSemanticLabeling.evaluateImgLists(predictions, truths, args)
    except IndexError:
        # It cannot form the curve of a class all of whose predictions are ignored and none is right.
        return {'undefined': 'the evaluator stops where all predictions of a class lie in ignored regions'}
    averages = found['averages']
    if math.isnan(averages['allAp']):
        return {'undefined': 'no instance of an evaluated class occurs in the ground truth'}
    classes = {
        name: {'ap': one['ap'], 'ap50': one['ap50%']}
        for name, one in averages['classes'].items()
        if not math.isnan(one['ap'])
    }
    return {'ap': averages['allAp'], 'ap50': averages['allAp50%'], 'per_class': classes}


def main() -> None:
    """Judges instances."""
    with open(sys.argv[1]) as file:
        facts = json.load(file)
    found = {**judge(facts), 'version': importlib.metadata.version('cityscapesscripts')}
    with open(sys.argv[2], 'w') as file:
        json.dump(found, file, allow_nan=False, default=float)


if __name__ == '__main__':
    main()
