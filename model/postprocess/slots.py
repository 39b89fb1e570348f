# SPDX-License-Identifier: Apache-2.0
"""The slots of a mask transformer: the class that each prefers, its confidence, and their order."""

from typing import NamedTuple

import tensorflow as tf

from panpipe.custom_ops import masks
from panpipe.model import labels as label_codec
from panpipe.model.postprocess import mask_pixels, mask_rules


class Slots(NamedTuple):
    """Describes the slots of images.

    Attributes:
      label: int32 [batch, slots], the class that a slot prefers; void is none.
      confidence: float32 [batch, slots], the probability of that class, 0 .. 1.
      number: int32 [batch, slots], from 1: what `Prediction.instance` calls the slot.
    """

    label: tf.Tensor
    confidence: tf.Tensor
    number: tf.Tensor


def read(class_logits: tf.Tensor, labels: label_codec.LabelSpec) -> Slots:
    """Reads class and confidence of each slot, and numbers the slots in their own order.

    Args:
      class_logits: float32 [batch, slots, classes + 1], as in `tensors.MaskHeads`.
      labels: the classes.

    Raises:
      ValueError: the logits are of another number of classes, or numbers of slots would not fit below the
        label divisor.
    """
    classes = (*sorted(labels.thing_ids), *labels.stuff_ids)
    slots, channels = class_logits.shape[1:]
    if channels != len(classes) + 1:
        raise ValueError(
            f'class_logits has {channels} channels; {len(classes)} classes and void take {len(classes) + 1}'
        )
    if slots >= labels.label_divisor:
        raise ValueError(
            f'{slots} slots need a label divisor of at least {slots + 1}; it is {labels.label_divisor}'
        )
    # Void takes its share of the probability, but no slot prefers it.
    probability = tf.nn.softmax(tf.cast(class_logits, tf.float32))[..., :-1]
    label = tf.gather(tf.constant(classes, tf.int32), tf.argmax(probability, -1))
    numbers = tf.range(1, slots + 1)[None] + tf.zeros_like(label)
    return Slots(label, tf.reduce_max(probability, -1), numbers)


def in_order(slots: Slots, mask_logits: tf.Tensor, rules: mask_rules.Maskwise, *, use_op: bool) -> Slots:
    """Numbers slots from the surest on, by the product of their confidences in class and mask.

    Args:
      slots: from `read`.
      mask_logits: float32 [batch, h, w, slots], as the network gives them.
      rules: holds the exponents of the two confidences; 0^0 is 1, and of equal slots the first is surer.
      use_op: uses the compiled op if it was built; the result is the same.

    Returns:
      The slots with those numbers.
    """
    sureness = tf.pow(slots.confidence, rules.class_weight)
    if rules.mask_weight != 0:
        mask = mask_confidences(mask_logits, rules.pixel_threshold, use_op=use_op)
        sureness *= tf.pow(mask, rules.mask_weight)
    order = tf.argsort(sureness, direction='DESCENDING', stable=True)
    return slots._replace(number=1 + tf.argsort(order))


def mask_confidences(mask_logits: tf.Tensor, threshold: float, *, use_op: bool = True) -> tf.Tensor:
    """Finds how surely each slot covers its mask: the mean probability of pixels that exceed a threshold.

    Args:
      mask_logits: float32 [batch, h, w, slots], at the resolution that counts.
      threshold: 0 .. 1.
      use_op: uses the compiled op if it was built; the result is the same.

    Returns:
      float32 [batch, slots], 0 where no pixel exceeds the threshold.
    """
    mask_logits = tf.cast(mask_logits, tf.float32)
    confidence = masks.confidences(mask_logits, threshold) if use_op else None
    if confidence is not None:
        return confidence
    return tf.map_fn(lambda image: mask_pixels.confidences(image, threshold), mask_logits)
