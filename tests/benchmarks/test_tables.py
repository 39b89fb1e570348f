# SPDX-License-Identifier: Apache-2.0
"""The table of the benchmarks: medians, bandwidth, twins, and an earlier run."""

from benchmarks import tables

FIGURES = {
    tables.BANDWIDTH: {'times': [10.0]},
    'sort, op': {'times': [2.0, 1.0, 30.0], 'moved': 5.0, 'extra': 1.25},
    'sort, twin': {'times': [8.0], 'moved': 5.0},
    'size [kB]': {'times': [7.0]},
}


def _rows(earlier):
    made = tables.table({'script': {'2': FIGURES}}, earlier)
    return dict(zip(FIGURES, zip(*([*column.cells] for column in made.columns), strict=True), strict=True))


def test_figures_of_a_row():
    rows = _rows({})
    assert rows['sort, op'] == (
        *('script', '2', 'sort, op'),
        *('2.00', '1.00', '30.00'),
        *('1.2', '5.0', '25%', '4.0'),
    )
    assert rows['sort, twin'][-4:] == ('', '5.0', '6%', '')
    assert rows['size [kB]'][-4:] == ('', '', '', '')


def test_comparison_with_an_earlier_run():
    rows = _rows({'script': {'2': {'sort, op': {'times': [4.0]}}}})
    assert rows['sort, op'][-2:] == ('4.00', '0.50')
    assert rows['sort, twin'][-2:] == ('', '')
