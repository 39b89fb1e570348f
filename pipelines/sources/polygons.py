# SPDX-License-Identifier: Apache-2.0
"""The polygons of Cityscapes' annotation tool, drawn as cityscapesScripts draws them.

Polygons are painted in the order of the file, later ones over earlier ones. `cargroup` is a group of cars,
whose pixels get the label alone; a label that has instances counts them from 0 on, hidden ones too.

Source: cityscapesScripts, preparation/json2instanceImg.py and json2labelImg.py; helpers/labels.py.
"""

import dataclasses
import math
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple, Self

import numpy as np
from PIL import Image, ImageDraw

from panpipe.model import datasets, errors, image_files
from panpipe.pipelines.sources import entries, fields

SUFFIX = '_gtFine_polygons.json'
_FORM = "a file of Cityscapes' annotation tool"
_GROUP = 'group'
_INSTANCE_BASE = 1000
_FEWEST_POINTS = 2  # of which Pillow draws a line
_FAR = 2**20  # pixels from the image's corner
_NOT_DRAWN = -1
# Labels that are not evaluated, which a description need not name; of these some count instances.
_OTHERS: Mapping[str, int] = {
    **{'unlabeled': 0, 'ego vehicle': 1, 'rectification border': 2, 'out of roi': 3, 'static': 4},
    **{'dynamic': 5, 'ground': 6, 'parking': 9, 'rail track': 10, 'guard rail': 14, 'bridge': 15},
    **{'tunnel': 16, 'polegroup': 18, 'caravan': 29, 'trailer': 30, 'license plate': _NOT_DRAWN},
}
_OTHERS_COUNTED = frozenset({'caravan', 'trailer'})


@dataclasses.dataclass(frozen=True)
class Names:
    """States what labels of polygons mean.

    Attributes:
      label_ids: number by name; polygons with a negative one are not drawn.
      counted: names whose objects are instances.
    """

    label_ids: Mapping[str, int]
    counted: frozenset[str]

    @classmethod
    def of(cls, spec: datasets.DatasetSpec, *, tells_apart: bool = True) -> Self:
        """Takes those of a data set, and Cityscapes' labels that are not evaluated."""
        own = {category.name: category.official_id for category in spec.categories}
        things = {category.name for category in spec.categories if category.is_thing}
        counted = things | (_OTHERS_COUNTED - own.keys())
        return cls({**_OTHERS, **own}, frozenset(counted if tells_apart else ()))


class Polygon(NamedTuple):
    """Holds a polygon: its label as written, and corners (x, y) in pixels."""

    label: str
    corners: list[tuple[float, float]]


@dataclasses.dataclass(frozen=True)
class Drawing:
    """Names a `*_gtFine_polygons.json`.

    Attributes:
      ids: reads the numbers that are drawn, as from an `*_instanceIds.png`; its path is that of the polygons.
      names: of the labels.
    """

    ids: entries.InstanceIds
    names: Names

    @property
    def path(self) -> str:
        """Address of the file."""
        return self.ids.path

    def read(self) -> entries.Label:
        """Reads and draws the polygons.

        Raises:
          errors.InputError: the file is missing or of another form, or a label is unknown.
        """
        return self.ids.label_of(self.numbers())

    def numbers(self) -> np.ndarray:
        """Draws what `*_instanceIds.png` would hold: int32 [height, width].

        Raises:
          errors.InputError: as `read`.
        """
        content = fields.read(self.path, _FORM, ('objects',))
        height, width = content.pixels('imgHeight'), content.pixels('imgWidth')
        image_files.refuse_sides(width, height, self.path)
        return draw(_polygons(content), self.names, (height, width), self.path)


def draw(found: Iterator[Polygon], names: Names, size: tuple[int, int], where: str) -> np.ndarray:
    """Draws polygons.

    Args:
      found: in their order.
      names: of the labels.
      size: (height, width) of the picture.
      where: the file, for errors.

    Returns:
      int32 [height, width]: label ids, of single objects label id * 1000 + number; 0 where nothing is drawn.

    Raises:
      errors.InputError: a label is unknown, or has more than 1000 objects.
    """
    picture = Image.new('I', size[::-1], names.label_ids['unlabeled'])
    pen = ImageDraw.Draw(picture)
    counts = dict.fromkeys(names.counted, 0)
    for polygon in found:
        name = polygon.label
        is_group = name not in names.label_ids and name.endswith(_GROUP)
        name = name.removesuffix(_GROUP) if is_group else name
        if name not in names.label_ids:
            raise errors.InputError(
                f'{where}: the label {polygon.label!r} is unknown; correct the file, or describe a data set '
                'that has it and name that: --dataset'
            )
        number = names.label_ids[name]
        if name in names.counted and not is_group:
            if counts[name] == _INSTANCE_BASE:
                raise errors.InputError(
                    f'{where} has more than 1000 objects {name!r}; make some a {name}group'
                )
            number = number * _INSTANCE_BASE + counts[name]
            counts[name] += 1
        if number >= 0:
            pen.polygon(polygon.corners, fill=number)
    return np.asarray(picture)


def _polygons(content: fields.Fields) -> Iterator[Polygon]:
    """Reads the objects that are not deleted."""
    for told in content.objects('objects', 'object'):
        if told.flag('deleted'):
            continue
        corners: Any = told.told.get('polygon')
        is_list = isinstance(corners, list) and len(corners) >= _FEWEST_POINTS
        if not is_list or not all(map(_is_corner, corners)):
            raise told.wrong('polygon', 'a list of two corners [x, y] or more')
        yield Polygon(told.text('label'), [(x, y) for x, y in corners])


def _is_corner(told: Any) -> bool:
    return (
        isinstance(told, list)
        and len(told) == 2
        and all(type(value) in (int, float) and math.isfinite(value) and abs(value) < _FAR for value in told)
    )
