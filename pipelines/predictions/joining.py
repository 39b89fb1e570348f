# SPDX-License-Identifier: Apache-2.0
"""Joins images with their predictions: by the id that official evaluators go by, else by name."""

import dataclasses
import functools
import types
from collections.abc import Mapping

from panpipe.model import errors
from panpipe.pipelines.sources import documents


@dataclasses.dataclass(frozen=True)
class Index:
    """Finds predictions.

    Attributes:
      path: of the file that lists them.
      ids: of predicted images, by the names that the predictions have for them; None without ids.
      form: module of `formats`, which knows how images are called.
    """

    path: str
    ids: Mapping[str, documents.ImageId | None]
    form: types.ModuleType

    @functools.cached_property
    def _names(self) -> Mapping[documents.ImageId, str]:
        return {image_id: name for name, image_id in self.ids.items() if image_id is not None}

    def find(self, name: str, official_id: documents.ImageId | None = None) -> str | None:
        """Returns what the predictions call an image, or None if there is none of it.

        Args:
          name: of the image, as records have it.
          official_id: as the ground truth states it, or None.

        Raises:
          errors.InputError: the id is that of one prediction, and the name that of another.
        """
        called = self.form.image_id(name)
        wanted = self.form.key({'image_id': called, 'file_name': f'{name}.png'})
        by_name = wanted if wanted in self.ids else None
        if official_id is None:
            return by_name or self._names.get(called)
        by_id = self._names.get(official_id)
        if by_id and by_name and by_id != by_name:
            raise errors.InputError(
                f'{self.path}: image_id {official_id} is that of {by_id}, but the ground truth calls {name} '
                'so; predict from records, or from the data set with --split'
            )
        return by_id or by_name
