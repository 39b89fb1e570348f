# SPDX-License-Identifier: Apache-2.0
"""The numbers of a mask transformer's post-processing, as `evaluator_options` of a configuration has them."""

import dataclasses
from typing import Protocol, Self


class MaskwiseOptions(Protocol):
    """Has the fields of `evaluator_options.maskwise_postprocessing`."""

    @property
    def transformer_class_confidence_threshold_thing(self) -> float: ...
    @property
    def transformer_class_confidence_threshold_stuff(self) -> float: ...
    @property
    def overlapping_threshold(self) -> float: ...
    @property
    def reorder_class_weight(self) -> float: ...
    @property
    def reorder_mask_weight(self) -> float: ...


class Options(Protocol):
    """Has the fields of `evaluator_options` that mask transformers read."""

    @property
    def pixel_confidence_threshold(self) -> float: ...
    @property
    def transformer_class_confidence_threshold(self) -> float: ...
    @property
    def thing_area_limit(self) -> int: ...
    @property
    def stuff_area_limit(self) -> int: ...
    @property
    def maskwise_postprocessing(self) -> MaskwiseOptions | None: ...


@dataclasses.dataclass(frozen=True)
class AreaLimits:
    """States how many pixels a segment must have; one of fewer is void, and 0 keeps every one.

    Attributes:
      thing: of a single thing.
      stuff: of all slots together that prefer a stuff class.
    """

    thing: int = 0
    stuff: int = 0

    @classmethod
    def of(cls, options: Options) -> Self:
        """Takes the limits from `evaluator_options`."""
        return cls(options.thing_area_limit, options.stuff_area_limit)


@dataclasses.dataclass(frozen=True)
class Pixelwise:
    """Holds the numbers of pixelwise post-processing, where every pixel goes to its likeliest slot.

    Attributes:
      class_threshold: smallest confidence of a slot that takes part.
      pixel_threshold: of a pixel's probability, which must exceed it.
      areas: what a segment must measure.

    Raises:
      ValueError: a threshold is not between 0 and 1.
    """

    class_threshold: float = 0.7
    pixel_threshold: float = 0.4
    areas: AreaLimits = AreaLimits()

    def __post_init__(self) -> None:
        _check(self)

    @classmethod
    def of(cls, options: Options) -> Self:
        """Takes the numbers from `evaluator_options`."""
        return cls(
            options.transformer_class_confidence_threshold,
            options.pixel_confidence_threshold,
            AreaLimits.of(options),
        )


@dataclasses.dataclass(frozen=True)
class Maskwise:
    """Holds the numbers of maskwise post-processing, where slots paste their masks, the surest first.

    Attributes:
      thing_threshold: smallest confidence of a thing's slot that pastes.
      stuff_threshold: of a stuff class's slot.
      overlap_threshold: a mask is pasted if more than this share of it is still free.
      class_weight: exponent of the confidence in the class, in the order of slots.
      mask_weight: exponent of the confidence in the mask.
      pixel_threshold: of a pixel's probability, which must exceed it to be of a mask.
      areas: what a segment must measure.

    Raises:
      ValueError: a threshold is not between 0 and 1.
    """

    thing_threshold: float = 0.7
    stuff_threshold: float = 0.7
    overlap_threshold: float = 0.5
    class_weight: float = 1.0
    mask_weight: float = 0.0
    pixel_threshold: float = 0.4
    areas: AreaLimits = AreaLimits()

    def __post_init__(self) -> None:
        _check(self)

    @classmethod
    def of(cls, options: Options) -> Self:
        """Takes the numbers from `evaluator_options`.

        Raises:
          ValueError: those of maskwise post-processing are absent.
        """
        maskwise = options.maskwise_postprocessing
        if maskwise is None:
            raise ValueError(
                'evaluator_options lacks maskwise_postprocessing; add it, empty for its defaults, or set '
                "transformer_post_processing to 'pixelwise'"
            )
        return cls(
            maskwise.transformer_class_confidence_threshold_thing,
            maskwise.transformer_class_confidence_threshold_stuff,
            maskwise.overlapping_threshold,
            maskwise.reorder_class_weight,
            maskwise.reorder_mask_weight,
            options.pixel_confidence_threshold,
            AreaLimits.of(options),
        )


def _check(rules: Pixelwise | Maskwise) -> None:
    for field in dataclasses.fields(rules):
        value = getattr(rules, field.name)
        if field.name.endswith('_threshold') and not 0 <= value <= 1:
            raise ValueError(f'{field.name} is {value}; it must be 0 .. 1')
