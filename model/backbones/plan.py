# SPDX-License-Identifier: Apache-2.0
"""Where the residual blocks of a network stand: strides, rates and survival. Numbers only.

Stage n (1 .. 5) starts at nominal stride 2 ** (n - 1); the first block of stages 2 .. 5 doubles it.
"""

import math
from typing import NamedTuple


class Place(NamedTuple):
    """The place of one residual block.

    Attributes:
      nominal: stride of the block's input in a network that never stops at an output stride.
      stride: of the block's first 3x3 convolution and its shortcut.
      rate: of the same 3x3 convolution.
      last_rate: of the second 3x3 convolution of a basic block.
    """

    nominal: int
    stride: int
    rate: int
    last_rate: int


def places(stage: int, num_blocks: int, output_stride: int) -> list[Place]:
    """Lays out a stage: strides past `output_stride` become rates.

    Source: Chen et al., DeepLabv3 (2017), section 3.2, without multi-grid.
    """
    if not num_blocks:
        return []
    before, after = strides(stage)
    stride = after // before if before < output_stride else 1
    rate, last_rate = (max(1, nominal // output_stride) for nominal in (before, after))
    first = Place(before, stride, rate, last_rate)
    return [first] + [Place(after, 1, last_rate, last_rate)] * (num_blocks - 1)


def strides(stage: int) -> tuple[int, int]:
    """Returns the nominal strides before and after a stage; those of stage 1 are the stem's."""
    return (2, 2) if stage == 1 else (2 ** (stage - 1), 2**stage)


class DropPath(NamedTuple):
    """Stochastic depth: how likely a block's residual is kept in a training step.

    Attributes:
      keep: probability in the last stage.
      is_linear: falls linearly from 1 in the first stage to `keep`; else `keep` throughout.
      from_stride: blocks of a smaller nominal stride always survive.

    Source: Huang et al., Deep Networks with Stochastic Depth (ECCV 2016), section 3.
    """

    keep: float = 1.0
    is_linear: bool = False
    from_stride: int = 1

    def survival(self, nominal: int) -> float:
        """Returns the probability of keeping the residual of a block at a nominal stride."""
        if nominal < self.from_stride:
            return 1.0
        if not self.is_linear:
            return self.keep
        return 1.0 - (1.0 - self.keep) * (math.log2(nominal) - 1.0) / 4.0
