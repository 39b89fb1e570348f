# SPDX-License-Identifier: Apache-2.0
"""The raw layouts, by name."""

import types
from collections.abc import Mapping

from panpipe.model import datasets, errors
from panpipe.pipelines.sources import ade20k, cityscapes, coco

SOURCES: Mapping[str, types.ModuleType] = types.MappingProxyType(
    {'cityscapes': cityscapes, 'coco': coco, 'ade20k': ade20k}
)


def module(spec: datasets.DatasetSpec) -> types.ModuleType:
    """Returns the module that lists and loads raw files of this data set's layout.

    Raises:
      errors.InputError: no module knows the layout.
    """
    if spec.layout not in SOURCES:
        raise errors.InputError(
            f'the data set {spec.name} has the layout {spec.layout!r}; known are {", ".join(SOURCES)}'
        )
    return SOURCES[spec.layout]
