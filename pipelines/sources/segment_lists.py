# SPDX-License-Identifier: Apache-2.0
"""The segments of an image in few bytes: COCO's training set has 1.3 million of them."""

import array
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any, Self, overload

from panpipe.model import labels

_FIELDS = 4  # id, category, area, is it a crowd
_LARGEST = 2**53  # up to which doubles hold whole numbers
_COLORS = 256**3


class Segments(Sequence[labels.Segment]):
    """Holds segments; equals a list or tuple of the same."""

    __slots__ = ('_numbers',)

    def __init__(self, numbers: Iterable[float]) -> None:
        """Takes id, category, area and 1 for a crowd, segment by segment."""
        self._numbers = array.array('d', numbers)

    @classmethod
    def of(cls, told: Any, has_areas: bool) -> Self | None:
        """Reads `segments_info` of a JSON file; None for what needs a closer look, as it may be wrong."""
        numbers: list[float] = []
        if type(told) is not list:
            return None
        for one in told:
            try:
                id_, category, crowd = one['id'], one['category_id'], one.get('iscrowd')
                area = one['area'] if has_areas else one.get('area', -1)
            except (AttributeError, IndexError, KeyError, TypeError):
                return None
            if not (type(id_) is type(category) is type(area) is int and crowd in (0, 1, None)):
                return None
            if not (0 < id_ < _COLORS and 0 <= category < _LARGEST and area < _LARGEST):
                return None
            if (area < 0 and 'area' in one) or isinstance(crowd, float):
                return None
            numbers += (id_, category, area, bool(crowd))
        if len(set(numbers[::_FIELDS])) < len(told):
            return None
        return cls(numbers)

    def are_plain(self, class_ids: Collection[int]) -> bool:
        """Returns whether all are of these classes, and none is a crowd."""
        return not any(self._numbers[3::_FIELDS]) and all(
            category in class_ids for category in self._numbers[1::_FIELDS]
        )

    def __len__(self) -> int:
        return len(self._numbers) // _FIELDS

    @overload
    def __getitem__(self, index: int) -> labels.Segment: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[labels.Segment, ...]: ...
    def __getitem__(self, index: int | slice) -> labels.Segment | tuple[labels.Segment, ...]:
        return tuple(self)[index]

    def __iter__(self) -> Iterator[labels.Segment]:
        fields = iter(self._numbers)
        for id_, category, area, crowd in zip(*[fields] * _FIELDS, strict=True):
            yield labels.Segment(int(id_), int(category), int(area), bool(crowd))

    def __eq__(self, other: object) -> bool:
        return tuple(self) == tuple(other) if isinstance(other, Sequence) else NotImplemented

    def __hash__(self) -> int:
        return hash(tuple(self))

    def __repr__(self) -> str:
        return f'Segments{tuple(self)}'
