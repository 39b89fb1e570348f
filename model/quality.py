# SPDX-License-Identifier: Apache-2.0
"""Public names of panoptic quality and mIoU; the code is in `model/metrics/quality.py`."""

from panpipe.model.metrics.quality import ConfusionMatrix, PanopticQuality

__all__ = ['ConfusionMatrix', 'PanopticQuality']
