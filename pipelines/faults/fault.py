# SPDX-License-Identifier: Apache-2.0
"""A fault of a prediction folder: where it is, what it is, and how to cure it."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Fault:
    """Describes one mistake in a file: where, what, and the cure."""

    where: str
    what: str
    cure: str

    def __str__(self) -> str:
        """Returns it as one line."""
        return f'{self.where}: {self.what}; {self.cure}'
