# SPDX-License-Identifier: Apache-2.0
"""The result of the oracles job, which report reads: what a network would reach with some heads perfect."""

import dataclasses
from collections.abc import Mapping

from panpipe.model.metrics import results


@dataclasses.dataclass(frozen=True)
class Gain:
    """Holds by how much an oracle raises PQ of groups of classes and mIoU, in per cent."""

    pq: results.Groups
    miou: float | None


@dataclasses.dataclass(frozen=True)
class Oracle:
    """Holds the means that one oracle reaches, in per cent, and its gain over the network itself."""

    pq: results.Groups
    sq: results.Groups
    rq: results.Groups
    miou: float | None
    gain: Gain

    @classmethod
    def of(cls, found: results.Result, baseline: results.Result) -> 'Oracle':
        """Takes the means of a result."""
        gain = Gain(found.pq.minus(baseline.pq), results.difference(found.miou, baseline.miou))
        return cls(found.pq, found.sq, found.rq, found.miou, gain)

    def pairs(self) -> list[tuple[float | None, float | None]]:
        """Lists (value, gain) of PQ by group, then of mIoU."""
        groups = [(value, getattr(self.gain.pq, name)) for name, value in self.pq.items()]
        return [*groups, (self.miou, self.gain.miou)]


@dataclasses.dataclass(frozen=True)
class OracleResult:
    """Holds what the oracles job found.

    Attributes:
      evaluator: program and version that judged.
      dataset: name of the data set.
      step: of the checkpoint.
      num_images: how many images were judged.
      oracles: by name; 'baseline' is the network itself.
    """

    evaluator: str
    dataset: str
    step: int
    num_images: int
    oracles: Mapping[str, Oracle]
