# SPDX-License-Identifier: Apache-2.0
"""How findings put values into words."""

from collections.abc import Collection, Iterator, Sequence


def size(sides: Sequence[int]) -> str:
    """Writes a size as in 1025x2049."""
    return 'x'.join(map(str, sides))


def listed(values: Sequence[int]) -> str:
    """Writes values as `--set` takes them."""
    return ','.join(map(str, values))


def choice(field: str, value: str, choices: Collection[str]) -> Iterator[str]:
    """Finds a value that is none of `choices`; '' stands for unset there."""
    if value not in choices:
        yield f'{field} is {value!r}; it is one of {", ".join(filter(None, choices))}'
