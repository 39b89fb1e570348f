# SPDX-License-Identifier: Apache-2.0
"""The official formats by name.

Each module has FOLDERS, PIXELS (those of a model without instances), ALLOWS_NUMBERS, image_id, key, write and
documents.
"""

import types
from collections.abc import Mapping

from panpipe.model import datasets
from panpipe.pipelines.formats import cityscapes, coco

FORMATS: Mapping[str, types.ModuleType] = types.MappingProxyType({'cityscapes': cityscapes, 'coco': coco})


def of(spec: datasets.DatasetSpec) -> str:
    """Names the format in which a data set's official evaluator wants predictions."""
    return 'cityscapes' if spec.layout == 'cityscapes' else 'coco'
