# SPDX-License-Identifier: Apache-2.0
"""The official formats by name: modules that each have FOLDERS, image_id, key and write."""

import types
from collections.abc import Mapping

from panpipe.model import datasets
from panpipe.pipelines.formats import cityscapes, coco

FORMATS: Mapping[str, types.ModuleType] = types.MappingProxyType({'cityscapes': cityscapes, 'coco': coco})


def of(spec: datasets.DatasetSpec) -> str:
    """Names the format in which a data set's official evaluator wants predictions."""
    return 'cityscapes' if spec.layout == 'cityscapes' else 'coco'
