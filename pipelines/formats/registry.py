# SPDX-License-Identifier: Apache-2.0
"""The official formats by name.

Each module has
  FOLDERS, PIXELS: folders that it writes, and those of a model without instances;
  ALLOWS_NUMBERS: numbers may be ids of images;
  UNJUDGED: classes that its evaluator knows beside those of the data set;
  image_id, key: the official id of an image, and the image that an annotation is about;
  write, documents: the files of an image, and those over all images;
  read_things: the things of an image back, with their scores;
  archives: what test servers take.
"""

import types
from collections.abc import Mapping

from panpipe.pipelines.formats import cityscapes, coco

FORMATS: Mapping[str, types.ModuleType] = types.MappingProxyType({'cityscapes': cityscapes, 'coco': coco})
