# SPDX-License-Identifier: Apache-2.0
"""The names inside a folder of predictions."""

DOCUMENT = 'panoptic.json'
PANOPTIC = 'panoptic'
SEMANTIC = 'semantic'
INSTANCES = 'instances.json'  # of the COCO form
INSTANCE = 'instance'  # of Cityscapes: text files, and their masks
MASKS = 'masks'
ARCHIVES = 'archives'
