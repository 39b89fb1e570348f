# SPDX-License-Identifier: Apache-2.0
"""What is true of an image, as rows: one for each thing, then one for each stuff class.

Source: Yu et al., k-means Mask Transformer (ECCV 2022), section 3; Wang et al., MaX-DeepLab (CVPR 2021),
section 3.1.
"""

from typing import NamedTuple, Self

import numpy as np
import tensorflow as tf

from panpipe.model import labels as label_codec
from panpipe.model import tensors


class Truths(NamedTuple):
    """Holds the truth of a batch, one pixel for each pixel of the mask logits.

    Attributes:
      row: int32 [batch, pixels], the row that a pixel belongs to, -1 for none.
      is_valid: bool [batch, pixels], false where the label is void.
      channel: int32 [batch, rows], the channel of the class logits for a row's class; that of void where
        there is no such thing.
      area: float32 [batch, rows], pixels.
    """

    row: tf.Tensor
    is_valid: tf.Tensor
    channel: tf.Tensor
    area: tf.Tensor

    @property
    def masks(self) -> tf.Tensor:
        """Each row's pixels as ones, float32 [batch, pixels, rows]."""
        return tf.one_hot(self.row, self.area.shape[1])

    @property
    def area_of_pixel(self) -> tf.Tensor:
        """The area of each pixel's row, 0 for none: float32 [batch, pixels]."""
        area = tf.gather(self.area, tf.maximum(self.row, 0), batch_dims=1)
        return tf.where(self.row < 0, 0.0, area)

    def largest(self, count: int) -> Self:
        """Turns all but an image's `count` largest rows into void; of equal ones the first are kept."""
        if self.area.shape[1] <= count:
            return self
        rank = tf.argsort(tf.argsort(self.area, direction='DESCENDING', stable=True))
        is_kept = rank < count
        is_lost = (self.row >= 0) & ~tf.gather(is_kept, tf.maximum(self.row, 0), batch_dims=1)
        return self._replace(
            row=tf.where(is_lost, -1, self.row),
            is_valid=self.is_valid & ~is_lost,
            area=tf.where(is_kept, self.area, 0.0),
        )


def truths(targets: tensors.MaskTargets, labels: label_codec.LabelSpec, height: int, width: int) -> Truths:
    """Arranges the targets of a batch in rows, at the resolution of the mask logits.

    Args:
      targets: [batch, full height, full width, …].
      labels: the classes.
      height: of the mask logits; every so-manieth pixel of the targets is taken.
      width: of the mask logits.

    Raises:
      ValueError: the targets' size is no multiple of the mask logits' size.
    """
    semantic = at_stride(targets.semantic, height, width)
    thing = at_stride(targets.thing_id_mask, height, width)
    classes = tf.cast(targets.thing_id_class, tf.int32)
    num_things, stuff_ids = classes.shape[1], labels.stuff_ids
    num_rows = num_things + len(stuff_ids)
    # With one more entry, where labels end up that are no class.
    table_size = max(labels.num_classes, labels.ignore_label + 1) + 1
    stuff_row = np.full(table_size, -1, np.int32)
    stuff_row[list(stuff_ids)] = num_things + np.arange(len(stuff_ids))
    channel = np.full(table_size, len(labels.thing_ids) + len(stuff_ids), np.int32)
    channel[[*labels.thing_ids, *stuff_ids]] = np.arange(len(labels.thing_ids) + len(stuff_ids))
    known = tf.where((semantic >= 0) & (semantic < table_size), semantic, table_size - 1)
    row = tf.where(thing >= 0, thing, tf.gather(stuff_row, known))
    row = tf.reshape(row, [tf.shape(row)[0], height * width])
    of_things = tf.gather(channel, tf.where(classes >= 0, classes, table_size - 1))
    of_stuff = tf.broadcast_to(channel[list(stuff_ids)], [tf.shape(classes)[0], len(stuff_ids)])
    return Truths(
        row=row,
        is_valid=tf.reshape(semantic != labels.ignore_label, tf.shape(row)),
        channel=tf.concat([of_things, of_stuff], 1),
        area=tf.math.reduce_sum(tf.one_hot(row, num_rows), 1),
    )


def at_stride(maps: tf.Tensor, height: int, width: int) -> tf.Tensor:
    """Takes every so-manieth pixel of maps [batch, h, w], so that [batch, height, width] are left.

    Raises:
      ValueError: h - 1 and w - 1 are not the same multiple of height - 1 and width - 1.
    """
    # A map of one row is at full resolution.
    stride = max((maps.shape[1] - 1) // max(height - 1, 1), 1)
    taken = maps[:, ::stride, ::stride]
    if tuple(taken.shape[1:3]) != (height, width):
        raise ValueError(
            f'targets of {maps.shape[1]} x {maps.shape[2]} do not fit logits of {height} x {width}; set both '
            'sides of crop_size to a multiple of 32, plus 1'
        )
    return taken
