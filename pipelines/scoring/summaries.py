# SPDX-License-Identifier: Apache-2.0
"""The result of a score, from what the official evaluators found."""

from collections.abc import Mapping
from typing import Any

from panpipe.model.metrics import results


def official(
    found: Mapping[str, Any],
    miou: float | None,
    ious: Mapping[str, float],
    evaluator: str,
    num_images: int,
) -> results.Result:
    """Makes a result of what a program of `official/` found, all of it fractions.

    Args:
      found: `groups` and `per_class` of that program, as far as classes occur.
      miou: mean intersection over union.
      ious: by the name of a class.
      evaluator: names program and version.
      num_images: that were judged.
    """
    classes = {**{name: {} for name in ious}, **found['per_class']}
    return results.Result(
        evaluator,
        num_images,
        _means(found['groups'], 'pq'),
        _means(found['groups'], 'sq'),
        _means(found['groups'], 'rq'),
        results.ClassCounts(**{name: one['n'] for name, one in found['groups'].items()}),
        results.per_cent(miou),
        {name: _class(one, ious.get(name)) for name, one in classes.items()},
    )


def _means(groups: Mapping[str, Mapping[str, float]], measure: str) -> results.Groups:
    return results.Groups(
        **{name: results.per_cent(groups.get(name, {}).get(measure)) for name in results.GROUPS}
    )


def _class(one: Mapping[str, float], iou: float | None) -> results.ClassFigures:
    pq, sq, rq = (results.per_cent(one.get(measure)) for measure in results.MEASURES)
    return results.ClassFigures(pq, sq, rq, results.per_cent(iou))
