# SPDX-License-Identifier: Apache-2.0
"""The closing table of a job: images, bytes, skipped images, seconds and images a second."""

from collections.abc import Mapping

import rich.console
import rich.table


def show(job: str, counted: Mapping[str, int], seconds: float) -> None:
    """Prints the counters of the workers; nothing if the runner has none."""
    if not counted:
        return
    images = counted.get('images', 0)
    table = rich.table.Table(title=f'{job}: done now', title_justify='left')
    for column in ('images', 'MB', 'skipped', 'seconds', 'images a second'):
        table.add_column(column, justify='right')
    table.add_row(
        str(images),
        f'{counted.get("bytes", 0) / 1e6:.1f}',
        str(counted.get('skipped', 0)),
        f'{seconds:.1f}',
        f'{images / seconds:.1f}' if seconds else '-',
    )
    rich.console.Console(markup=False).print(table)
