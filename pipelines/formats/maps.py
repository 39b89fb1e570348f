# SPDX-License-Identifier: Apache-2.0
"""The prediction of one image on its way into files, and the note of what was written."""

from collections.abc import Container, Iterator, Mapping
from typing import Any, NamedTuple, Protocol

import numpy as np


class Maps(NamedTuple):
    """Holds the prediction of an image, at the image's own size.

    Attributes:
      name: the image's name without folder and extension.
      panoptic: int32 [height, width], panoptic ids.
      semantic: int32 [height, width], class ids.
      scores: how sure the model is of each thing of the panoptic map, 0 .. 1, by panoptic id; None of a model
        that is semantic-only, whose panoptic map then has no meaning.
      official_id: the image's id in the annotation file; None if only the name is known.
    """

    name: str
    panoptic: np.ndarray
    semantic: np.ndarray
    scores: Mapping[int, float] | None
    official_id: str | int | None = None


class Note(NamedTuple):
    """Holds an image's entries in the files over all images.

    Attributes:
      name: the image's name.
      annotation: its entry in `panoptic.json`, or None without panoptic files.
      instances: its entries in `instances.json`.
    """

    name: str
    annotation: dict[str, Any] | None
    instances: list[dict[str, Any]]


class Notes(Protocol):
    """Reads notes of images one by one, as often as wanted."""

    def by_name(self) -> Iterator[Note]:
        """Reads them in the order of the images' names."""

    def by_file(self) -> Iterator[Note]:
        """Reads them in the order of the names of the panoptic PNGs."""


def things(maps: Maps, present: Container[int]) -> list[tuple[int, float]]:
    """Lists the things that are `present` in the panoptic map, as (panoptic id, score), surest first.

    A thing of few pixels may be lost where the map was brought to the image's size.
    """
    found = [(i, score) for i, score in (maps.scores or {}).items() if i in present]
    return sorted(found, key=lambda thing: (-thing[1], thing[0]))


def has_panoptic(notes: Notes) -> bool:
    """Returns whether any image has panoptic files."""
    return any(note.annotation is not None for note in notes.by_name())


def annotations(notes: Notes) -> Iterator[dict[str, Any]]:
    """Reads the entries of `panoptic.json`, in the order of the names of the PNGs."""
    return (note.annotation for note in notes.by_file() if note.annotation is not None)
