# SPDX-License-Identifier: Apache-2.0
"""Panoptic copy-paste: segments of a second training image are pasted on the first one.

Source: Yu et al., k-means Mask Transformer (ECCV 2022), section 4.1; Ghiasi et al., Simple Copy-Paste is a
Strong Data Augmentation Method for Instance Segmentation (CVPR 2021).
"""

import dataclasses
from collections.abc import Mapping
from typing import NamedTuple

import tensorflow as tf

from panpipe.model import errors
from panpipe.model import labels as label_codec
from panpipe.model.inputs import runs


class Picture(NamedTuple):
    """Holds a training image with its labels.

    Attributes:
      image: float32 [height, width, 3], 0 .. 255.
      panoptic: int32 [height, width].
    """

    image: tf.Tensor
    panoptic: tf.Tensor


@dataclasses.dataclass(frozen=True)
class Choice:
    """Chooses what is pasted of a kind of segments: 'all', 'none', or a 'random' subset.

    Attributes:
      thing: of things, crowds included.
      stuff: of stuff.
      void: of pixels without a label.

    Raises:
      errors.InputError: an option is none of the three.
    """

    thing: str = 'random'
    stuff: str = 'random'
    void: str = 'none'

    def __post_init__(self) -> None:
        for kind, option in dataclasses.asdict(self).items():
            if option not in _OPTIONS:
                raise errors.InputError(
                    f'panoptic_copy_paste_{kind}_option is {option!r}; it is one of {", ".join(_OPTIONS)}'
                )


# What an option makes of the random choice; None leaves it.
_OPTIONS: Mapping[str, bool | None] = {'random': None, 'all': True, 'none': False}


def padding(labels: label_codec.LabelSpec) -> int:
    """Returns the panoptic id of a second image's padding, which is never pasted; void may be."""
    return labels.void + 1


def paste(
    under: Picture, over: Picture, key: tf.Tensor, labels: label_codec.LabelSpec, choice: Choice
) -> Picture:
    """Pastes segments of one picture on another of the same size.

    Pasted things are renumbered from the largest number downwards, so that they stay apart from those below.
    Where a thing of either picture has a number in the upper half, nothing is pasted.

    Args:
      under: the picture that segments are pasted on.
      over: the picture that they come from; its padding has the id `padding(labels)`.
      key: int64 [2], decides which segments are pasted.
      labels: what the integers mean.
      choice: what may be pasted.
    """
    ids, segment = tf.unique(tf.reshape(over.panoptic, [-1]))
    is_pasted = tf.gather(_chosen(ids, key, labels, choice), segment)
    semantic, instance = labels.decode(over.panoptic)
    is_padding = over.panoptic == padding(labels)
    highest = tf.maximum(
        tf.reduce_max(labels.decode(under.panoptic)[1]), tf.reduce_max(tf.where(is_padding, 0, instance))
    )
    is_pasted = tf.reshape(is_pasted, tf.shape(instance)) & (highest < labels.label_divisor // 2)
    renamed = tf.where(instance > 0, labels.label_divisor - 1 - instance, 0)
    return Picture(
        tf.where(is_pasted[..., None], over.image, under.image),
        tf.where(is_pasted, labels.encode(semantic, renamed), under.panoptic),
    )


def _chosen(ids: tf.Tensor, key: tf.Tensor, labels: label_codec.LabelSpec, choice: Choice) -> tf.Tensor:
    """Draws which ids are pasted, bool [n]: any number of them is equally likely, before options apply."""
    size = tf.size(ids)
    number = tf.random.stateless_uniform([], tf.random.experimental.stateless_fold_in(key, 2))
    count = tf.cast(number * tf.cast(size + 1, tf.float32), tf.int32)
    order = tf.random.stateless_uniform([size], tf.random.experimental.stateless_fold_in(key, 3))
    is_chosen = tf.argsort(tf.argsort(order)) < tf.minimum(count, size)
    semantic, _ = labels.decode(ids)
    kinds = (
        (runs.is_any(semantic, labels.thing_ids), choice.thing),
        (runs.is_any(semantic, labels.stuff_ids), choice.stuff),
        (ids == labels.void, choice.void),
    )
    for is_kind, option in kinds:
        if (fixed := _OPTIONS[option]) is not None:
            is_chosen = tf.where(is_kind, fixed, is_chosen)
    return is_chosen & (ids != padding(labels))
