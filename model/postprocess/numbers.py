# SPDX-License-Identifier: Apache-2.0
"""The numbers that turn heads into a panoptic map."""

import dataclasses

from panpipe.custom_ops import rules as ops_rules
from panpipe.model import labels as label_codec


@dataclasses.dataclass(frozen=True)
class Numbers:
    """Holds the numbers of Panoptic-DeepLab's post-processing.

    The defaults are those of DeepLab2's functions; a configuration states its own in `evaluator_options`.

    Attributes:
      center_threshold, nms_kernel: as `centers.peaks`.
      keep_k_centers: as `centers.positions`.
      stuff_area_limit: as `kernels.merge`.
      use_op: uses the compiled ops if they were built; the result is the same, bit for bit.
    """

    center_threshold: float = 0.1
    nms_kernel: int = 13
    keep_k_centers: int = 200
    stuff_area_limit: int = 0
    use_op: bool = True

    def rules(self, labels: label_codec.LabelSpec) -> tuple[ops_rules.CenterRules, ops_rules.Rules]:
        """Returns those of the search for centers, and those of the merge of such labels."""
        centers = ops_rules.CenterRules(self.center_threshold, self.nms_kernel, self.keep_k_centers)
        limit, void = self.stuff_area_limit, labels.ignore_label
        return centers, ops_rules.Rules(labels.thing_ids, labels.label_divisor, limit, void)
