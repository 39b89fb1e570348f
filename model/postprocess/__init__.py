# SPDX-License-Identifier: Apache-2.0
"""From what the network says to a prediction: upsample, find centers, group, merge, restore the size."""

from panpipe.model.postprocess.from_heads import panoptic_from_heads
from panpipe.model.postprocess.masks import maskwise, pixelwise
from panpipe.model.postprocess.upsample import upsample
from panpipe.model.postprocess.upsampled import panoptic

__all__ = ['maskwise', 'panoptic', 'panoptic_from_heads', 'pixelwise', 'upsample']
