# SPDX-License-Identifier: Apache-2.0
"""Results of jobs, flat, as Kubeflow Pipelines shows them."""

import pathlib

from panpipe.model import errors
from panpipe.model.metrics import result_files, results

_GAP = '&emsp;'  # Kubeflow's user interface draws no space between columns
_OTHERS = {'miou': 'mIoU', 'ap': 'AP', 'ap50': 'AP 50'}


def official(path: str) -> dict[str, float]:
    """Reads the score job's file, in per cent: pq, pq_things, pq_stuff, so sq and rq; miou, ap and ap50."""
    return _means(result_files.read(path, 'score'))


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
    for group in results.GROUPS:
        values = [figures.get(_name(measure, group)) for measure in results.MEASURES]
        cells = [group, *('–' if value is None else f'{value:.1f}' for value in values)]
        lines.append('| ' + ' | '.join(cell + _GAP for cell in cells) + ' |')
    lines += [f'\n{name} {figures[key]:.1f}' for key, name in _OTHERS.items() if key in figures]
    return '\n'.join(lines) + '\n'


def table(path: str) -> str:
    """Writes the score job's file as a table for the console, in per cent."""
    score = result_files.read(path, 'score')
    figures = _means(score)
    lines = ['            PQ     SQ     RQ']
    for group in results.GROUPS:
        values = [figures.get(_name(measure, group)) for measure in results.MEASURES]
        lines.append(f'{group:<7}' + ''.join('      –' if v is None else f'{v:>7.1f}' for v in values))
    lines += [f'{name:<7}{figures[key]:>7.1f}' for key, name in _OTHERS.items() if key in figures]
    return '\n'.join([*lines, f'per cent, by {score.evaluator}'])


def evaluation(run_dir: str) -> dict[str, float]:
    """Reads a run's last evaluation, in per cent: the names of `official`, and `losses.NAME`."""
    found = _evaluated(run_dir)
    losses = {f'losses.{name}': value for name, value in (found.losses or {}).items()}
    return _means(found) | {name: value for name, value in losses.items() if value is not None}


def confusion(run_dir: str) -> tuple[list[str], list[list[int]]]:
    """Reads pixels by true class (row) and predicted class from a run's last evaluation.

    Returns:
      Names of the classes that occur and the counts among them; the user interface cannot show 133 classes.
    """
    found = _evaluated(run_dir).confusion or results.Confusion((), ())
    occurring = [number for number, name in enumerate(found.classes) if name and any(found.counts[number])]
    names = [found.classes[number] for number in occurring]
    return names, [[found.counts[row][column] for column in occurring] for row in occurring]


def _evaluated(run_dir: str) -> results.Result:
    return result_files.read(pathlib.Path(run_dir, 'evaluation.json'), 'train')


def _means(result: results.Result) -> dict[str, float]:
    """Flattens the means that are defined."""
    figures = {
        _name(measure, group): value
        for measure in results.MEASURES
        for group, value in getattr(result, measure).items()
    }
    figures['miou'] = result.miou
    if result.instance:
        figures |= {'ap': result.instance.ap, 'ap50': result.instance.ap50}
    return {name: value for name, value in figures.items() if value is not None}


def _name(measure: str, group: str) -> str:
    return measure if group == 'all' else f'{measure}_{group}'
