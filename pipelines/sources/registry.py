# SPDX-License-Identifier: Apache-2.0
"""The raw layouts, by name."""

import types
from collections.abc import Mapping

from panpipe.model import datasets
from panpipe.pipelines.sources import ade20k, cityscapes, coco

SOURCES: Mapping[str, types.ModuleType] = types.MappingProxyType(
    {'cityscapes': cityscapes, 'coco': coco, 'ade20k': ade20k}
)


def module(spec: datasets.DatasetSpec) -> types.ModuleType:
    """Returns the module that lists and loads raw files of this data set's layout."""
    return SOURCES[spec.layout]
