# SPDX-License-Identifier: Apache-2.0
"""Figures of JSON files, flat, as Kubeflow Pipelines shows them."""

import json
import pathlib
from typing import Any

from panpipe.model import datasets, errors

_GROUPS = ('all', 'things', 'stuff')
_GAP = '&emsp;'  # Kubeflow's user interface draws no space between columns
_OTHERS = {'miou': 'mIoU', 'ap': 'AP', 'ap50': 'AP 50'}


def official(path: str) -> dict[str, float]:
    """Reads the score job's file, in per cent: pq, pq_things, pq_stuff, so sq and rq; miou, ap and ap50."""
    score = json.loads(pathlib.Path(path).read_text())
    figures = {
        measure if group == 'all' else f'{measure}_{group}': score[measure][group]
        for measure in ('pq', 'sq', 'rq')
        for group in _GROUPS
        if group in score.get(measure, {})
    }
    figures |= {'miou': score.get('miou')}
    figures |= {measure: (score.get('instance') or {}).get(measure) for measure in ('ap', 'ap50')}
    return {name: float(value) for name, value in figures.items() if value is not None}


def accepted(path: str, min_pq: float) -> dict[str, float]:
    """Returns the panoptic quality of a score file, if it is high enough.

    Args:
      path: of the score job's file.
      min_pq: lowest panoptic quality to accept, per cent; 0 accepts whatever there is.

    Raises:
      errors.JobError: it is lower, or there is none.
    """
    figures = official(path)
    if not min_pq:
        return {name: figures[name] for name in ('pq',) if name in figures}
    if 'pq' not in figures:
        raise errors.JobError(f'min_pq is {min_pq:g}, but the score holds no PQ; set min_pq=0 to accept it')
    if figures['pq'] < min_pq:
        raise errors.JobError(
            f'PQ {figures["pq"]:.2f} is below min_pq {min_pq:g}: the exported model is not accepted'
        )
    return {'pq': figures['pq'], 'min_pq': min_pq}


def markdown(path: str) -> str:
    """Writes the score job's file as a Markdown table, one row for all, things and stuff."""
    figures = official(path)
    lines = ['| | PQ | SQ | RQ |', '|---|---:|---:|---:|']
    for group in _GROUPS:
        suffix = '' if group == 'all' else f'_{group}'
        values = [figures.get(f'{measure}{suffix}') for measure in ('pq', 'sq', 'rq')]
        cells = [group, *('–' if value is None else f'{value:.1f}' for value in values)]
        lines.append('| ' + ' | '.join(cell + _GAP for cell in cells) + ' |')
    lines += [f'\n{name} {figures[key]:.1f}' for key, name in _OTHERS.items() if key in figures]
    return '\n'.join(lines) + '\n'


def table(path: str) -> str:
    """Writes the score job's file as a table for the console, in per cent."""
    figures = official(path)
    lines = ['            PQ     SQ     RQ']
    for group in _GROUPS:
        suffix = '' if group == 'all' else f'_{group}'
        values = [figures.get(f'{measure}{suffix}') for measure in ('pq', 'sq', 'rq')]
        lines.append(f'{group:<7}' + ''.join('      –' if v is None else f'{v:>7.1f}' for v in values))
    lines += [f'{name:<7}{figures[key]:>7.1f}' for key, name in _OTHERS.items() if key in figures]
    judge = json.loads(pathlib.Path(path).read_text())['evaluator']
    return '\n'.join([*lines, f'per cent, by {judge}'])


def evaluation(run_dir: str) -> dict[str, float]:
    """Reads a run's last evaluation: every number, named by its path."""
    return _flat(json.loads(pathlib.Path(run_dir, 'evaluation.json').read_text()))


def confusion(run_dir: str, dataset: str) -> tuple[list[str], list[list[int]]]:
    """Reads pixels by true class (row) and predicted class from a run's last evaluation.

    Returns:
      Names of the classes that occur and the counts among them; the user interface cannot show 133 classes.
    """
    counts = json.loads(pathlib.Path(run_dir, 'evaluation.json').read_text())['confusion']
    classes = [c for c in datasets.find(dataset).categories if any(counts[c.id])]
    return [c.name for c in classes], [[counts[row.id][column.id] for column in classes] for row in classes]


def _flat(content: dict[str, Any], prefix: str = '') -> dict[str, float]:
    figures: dict[str, float] = {}
    for name, value in content.items():
        if isinstance(value, dict):
            figures |= _flat(value, f'{prefix}{name}.')
        elif isinstance(value, int | float) and not isinstance(value, bool):
            figures[prefix + name] = float(value)
    return figures
