# SPDX-License-Identifier: Apache-2.0
"""Public names of the compiled ops: the merge alone, and everything from the heads to a prediction."""

from panpipe.custom_ops.kernels import merge, op_available
from panpipe.model.postprocess.from_heads import panoptic_from_heads

__all__ = ['merge', 'op_available', 'panoptic_from_heads']
