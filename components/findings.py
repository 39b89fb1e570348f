# SPDX-License-Identifier: Apache-2.0
"""Results of checks before a run, shown as a table: ok, warn or bad."""

from collections.abc import Sequence
from typing import NamedTuple

import rich.console
import rich.table
import rich.text

_STYLES = {'ok': 'green', 'warn': 'yellow', 'bad': 'red'}


class Finding(NamedTuple):
    """Holds the result of one check.

    Attributes:
      subject: what it is.
      state: 'ok', 'warn' (works without, or could not be seen from here) or 'bad' (nothing will work).
      detail: what was found, and the cure unless it is ok.
    """

    subject: str
    state: str
    detail: str


def show(findings: Sequence[Finding]) -> list[str]:
    """Prints a table; returns the subjects that are bad."""
    table = rich.table.Table(box=None, show_header=False)
    for finding in findings:
        # As they are: rich would read what stands in brackets as a style.
        subject, detail = map(rich.text.Text, (finding.subject, finding.detail))
        table.add_row(f'[{_STYLES[finding.state]}]{finding.state}[/]', subject, detail)
    rich.console.Console(soft_wrap=True).print(table)
    return [finding.subject for finding in findings if finding.state == 'bad']
