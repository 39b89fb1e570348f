# SPDX-License-Identifier: Apache-2.0
"""The numbers of a mask transformer that belong to a data set where the configuration leaves them open."""

import types
from collections.abc import Mapping
from typing import NamedTuple, TypeVar

from panpipe.model.experiment import network_options

T = TypeVar('T')


class Numbers(NamedTuple):
    """The numbers of a network that DeepLab2 derives from the data set's name.

    Attributes:
      num_slots: the most segments of an image.
      num_levels: of the pixel decoder.
      has_semantic_decoder: semantic logits come from a decoder of their own.
      keep: probability that a residual of the transformer survives a training step.
    """

    num_slots: int = 128
    num_levels: int = 4
    has_semantic_decoder: bool = True
    keep: float = 0.8


NUMBERS: Mapping[str, Numbers] = types.MappingProxyType(
    {
        'cityscapes_panoptic': Numbers(num_slots=256, num_levels=5, has_semantic_decoder=False),
        'coco_panoptic': Numbers(),
        'ade20k_panoptic': Numbers(keep=1.0),
    }
)


def numbers(options: network_options.MaXDeepLabOptions, dataset: str) -> Numbers:
    """Returns the numbers that `options` give, else those of the data set, else those of COCO."""
    usual = NUMBERS.get(dataset, Numbers())
    keep = options.transformer_decoder_drop_path_keep_prob
    return Numbers(
        _given(options.num_mask_slots, usual.num_slots),
        _given(options.pixel_decoder_levels, usual.num_levels),
        _given(options.use_auxiliary_semantic_decoder, usual.has_semantic_decoder),
        _given(keep, usual.keep),
    )


def _given(value: T | None, usual: T) -> T:
    return usual if value is None else value
