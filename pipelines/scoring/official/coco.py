# SPDX-License-Identifier: Apache-2.0
"""Runs hotcoco's panoptic evaluator, which follows panopticapi, and writes what it finds as JSON.

Usage: python coco.py FACTS OUTPUT, where FACTS is a JSON file with
  ground_truth_json, ground_truth_folder, prediction_json, prediction_folder: COCO panoptic form.
"""

import importlib.metadata
import json
import sys

from hotcoco import panoptic


def main() -> None:
    """Judges segments."""
    with open(sys.argv[1]) as file:
        facts = json.load(file)
    result = panoptic.pq_compute(
        facts['ground_truth_json'],
        facts['prediction_json'],
        facts['ground_truth_folder'],
        facts['prediction_folder'],
    )
    with open(facts['ground_truth_json']) as file:
        names = {entry['id']: entry['name'] for entry in json.load(file)['categories']}
    found = {
        'groups': {name.lower(): result[name] for name in ('All', 'Things', 'Stuff') if result[name]['n']},
        'per_class': {
            names[int(i)]: {key: one[key] for key in ('pq', 'sq', 'rq')}
            for i, one in result['per_class'].items()
            if one['tp'] + one['fp'] + one['fn']
        },
        'version': importlib.metadata.version('hotcoco'),
    }
    with open(sys.argv[2], 'w') as file:
        json.dump(found, file, allow_nan=False)


if __name__ == '__main__':
    main()
