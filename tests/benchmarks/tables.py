# SPDX-License-Identifier: Apache-2.0
"""Shows what the benchmarks measured, in one table."""

import statistics
from collections.abc import Mapping
from typing import Any

import rich.console
import rich.table

BANDWIDTH = 'copying arrays [GB/s]'
# How the names of two versions of the same end.
_OP, _TWIN = ', op', ', twin'
_WIDTH = 150

# By script, number of threads and name: `timing.Row`s.
Results = Mapping[str, Mapping[str, Mapping[str, Any]]]


def show(results: Results, earlier: Results) -> None:
    """Prints the table, however wide the terminal is."""
    rich.console.Console(width=_WIDTH, markup=False).print(table(results, earlier))


def table(results: Results, earlier: Results) -> rich.table.Table:
    """Makes a row of each figure: milliseconds, unless its name ends in another unit.

    Where `earlier` holds the same figure, its median and the ratio to it are shown.
    """
    columns = ['benchmark', 'threads', 'what', 'median', 'min', 'max']
    columns += ['extra MB', 'moved MB', 'of copying', 'twin / op']
    columns += ['earlier', 'now / earlier'] if earlier else []
    made = rich.table.Table(*columns, title='Milliseconds where no unit is given', title_justify='left')
    for column in made.columns[3:]:
        column.justify = 'right'
    for script, by_threads in results.items():
        for threads, figures in by_threads.items():
            before = earlier.get(script, {}).get(threads, {})
            for name in figures:
                cells = [*_cells(name, figures), *(_comparison(name, figures, before) if earlier else ())]
                made.add_row(script, threads, name, *cells)
        made.add_section()
    return made


def _cells(name: str, figures: Mapping[str, Any]) -> list[str]:
    row = figures[name]
    median = _median(row)
    cells = [f'{figure:.2f}' for figure in (median, min(row['times']), max(row['times']))]
    cells += [f'{row[key]:.1f}' if key in row else '' for key in ('extra', 'moved')]
    rate = row['moved'] / median if 'moved' in row else None  # MB a millisecond are GB a second
    cells.append(f'{rate / _median(figures[BANDWIDTH]):.0%}' if rate and BANDWIDTH in figures else '')
    twin = figures.get(f'{name[: -len(_OP)]}{_TWIN}') if name.endswith(_OP) else None
    cells.append(f'{_median(twin) / median:.1f}' if twin else '')
    return cells


def _comparison(name: str, figures: Mapping[str, Any], before: Mapping[str, Any]) -> tuple[str, str]:
    if name not in before:
        return '', ''
    old = _median(before[name])
    return f'{old:.2f}', f'{_median(figures[name]) / old:.2f}'


def _median(row: Mapping[str, Any]) -> float:
    return statistics.median(row['times'])
