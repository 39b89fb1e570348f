# SPDX-License-Identifier: Apache-2.0
"""The form of a score: what the score and evaluate jobs write of a set of predictions."""

from collections.abc import Mapping
from typing import Any

GROUPS = ('all', 'things', 'stuff')
MEASURES = ('pq', 'sq', 'rq')


def summary(
    found: Mapping[str, Any],
    miou: float | None,
    ious: Mapping[str, float],
    evaluator: str,
    num_images: int,
) -> dict[str, Any]:
    """Makes the content of the score file: per cent; null where no class of a group occurs."""
    groups = found['groups']
    classes = {**{name: {} for name in ious}, **found['per_class']}
    return {
        'evaluator': evaluator,
        'num_images': num_images,
        **{key: {name: _percent(groups.get(name, {}).get(key)) for name in GROUPS} for key in MEASURES},
        'num_classes': {name: groups.get(name, {}).get('n', 0) for name in GROUPS},
        'miou': _percent(miou),
        'per_class': {
            name: {**{key: _percent(one.get(key)) for key in MEASURES}, 'iou': _percent(ious.get(name))}
            for name, one in classes.items()
        },
    }


def _percent(value: float | None) -> float | None:
    return None if value is None else 100 * value
