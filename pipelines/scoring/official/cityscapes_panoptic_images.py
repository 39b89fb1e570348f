# SPDX-License-Identifier: Apache-2.0
"""Runs csCreatePanopticImgs of cityscapesScripts: `*_instanceIds.png` to panoptic PNGs and a JSON file.

Usage: python cityscapes_panoptic_images.py GT_FINE_FOLDER OUTPUT_FOLDER SPLIT
"""

import sys

from cityscapesscripts.preparation import createPanopticImgs  # type: ignore[import-not-found]

if __name__ == '__main__':
    folder, output, split = sys.argv[1:]
    createPanopticImgs.convert2panoptic(folder, output, useTrainId=False, setNames=[split])
