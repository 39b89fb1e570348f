# SPDX-License-Identifier: Apache-2.0
"""The closing table of a job says what was done, and how fast."""

import pytest

from panpipe.pipelines.running import totals


@pytest.mark.parametrize(
    ('counted', 'seconds', 'row'),
    [
        ({'images': 10, 'bytes': 2_340_000, 'skipped': 1}, 4.0, ['10', '2.3', '1', '4.0', '2.5']),
        ({'images': 3}, 60.0, ['3', '0.0', '0', '60.0', '0.1']),  # 0.05 is rounded up
        ({'skipped': 2}, 1.0, ['0', '0.0', '2', '1.0', '0.0']),
        ({'images': 5}, 0.0, ['5', '0.0', '0', '0.0', '-']),
    ],
)
def test_a_row_of_figures(counted, seconds, row, capsys):
    totals.show('convert', counted, seconds)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].strip() == 'convert: done now'
    shown = [line.replace('│', ' ').split() for line in lines]
    assert shown[-2] == row
    assert len(lines) == 6


def test_nothing_is_shown_where_the_runner_does_not_tell(capsys):
    totals.show('convert', {}, 3.0)
    assert capsys.readouterr() == ('', '')
