# SPDX-License-Identifier: Apache-2.0
"""Turns the masks and classes of a mask transformer into a prediction, pixel by pixel or mask by mask."""

from typing import NamedTuple

import tensorflow as tf

from panpipe.custom_ops import masks as ops_masks
from panpipe.custom_ops import rules as ops_rules
from panpipe.model import labels as label_codec
from panpipe.model import tensors
from panpipe.model.postprocess import mask_rules, pasting, slots


class Found(NamedTuple):
    """Holds a prediction, and the slots that it consists of."""

    prediction: tensors.Prediction
    slots: slots.Slots


def pixelwise(
    mask_heads: tensors.MaskHeads,
    labels: label_codec.LabelSpec,
    *,
    height: int,
    width: int,
    options: mask_rules.Options,
    use_op: bool = True,
) -> tensors.Prediction:
    """Gives each pixel to its likeliest slot.

    Args:
      mask_heads: as the network makes them, at any stride.
      labels: the classes and the panoptic codec.
      height: rows of the prediction.
      width: columns of the prediction.
      options: `evaluator_options`, or what has their fields.
      use_op: uses the compiled op if it was built; the result is the same, bit for bit.

    Returns:
      `instance` is the number of the slot, from 1, `score` its probability, and `semantic` the class of the
      likeliest slot, be it sure of its class or not.

    Source: Wang et al., MaX-DeepLab (CVPR 2021), section 3.1, "inference".
    """
    rules = mask_rules.Pixelwise.of(options)
    return find_pixelwise(mask_heads, labels, (height, width), rules, use_op=use_op).prediction


def maskwise(
    mask_heads: tensors.MaskHeads,
    labels: label_codec.LabelSpec,
    *,
    height: int,
    width: int,
    options: mask_rules.Options,
    use_op: bool = True,
) -> tensors.Prediction:
    """Pastes the masks of slots one after the other, the surest first.

    Arguments and result are those of `pixelwise`, but `instance` counts slots from the surest on; it is 1
    where nothing was pasted. `score` is the probability of the likeliest slot, pasted or not.

    Raises:
      ValueError: options lack `maskwise_postprocessing`.

    Source: Yu et al., k-means Mask Transformer (ECCV 2022), section 4.1, "mask-wise merging".
    """
    rules = mask_rules.Maskwise.of(options)
    return find_maskwise(mask_heads, labels, (height, width), rules, use_op=use_op).prediction


def find_pixelwise(
    mask_heads: tensors.MaskHeads,
    labels: label_codec.LabelSpec,
    size: tuple[int, int],
    rules: mask_rules.Pixelwise,
    *,
    use_op: bool = True,
) -> Found:
    """Does what `pixelwise` does, and tells the slots."""
    found = slots.read(mask_heads.class_logits, labels)
    is_alive = found.confidence >= rules.class_threshold
    masks = _masks(mask_heads, found, labels, is_alive, is_alive)
    numbers = _numbers(labels, rules.areas, is_maskwise=False, pixel=rules.pixel_threshold, overlap=0.0)
    return Found(_predict(masks, size, numbers, use_op=use_op), found)


def find_maskwise(
    mask_heads: tensors.MaskHeads,
    labels: label_codec.LabelSpec,
    size: tuple[int, int],
    rules: mask_rules.Maskwise,
    *,
    use_op: bool = True,
) -> Found:
    """Does what `maskwise` does, and tells the slots."""
    found = slots.read(mask_heads.class_logits, labels)
    found = slots.in_order(found, mask_heads.mask_logits, rules, use_op=use_op)
    is_thing = tf.gather(labels.thing_table(), found.label)
    may_paste = found.confidence >= tf.where(is_thing, rules.thing_threshold, rules.stuff_threshold)
    # Without any slot as sure as the lower of the two, there is not even a score.
    is_alive = found.confidence >= min(rules.thing_threshold, rules.stuff_threshold)
    is_alive = tf.reduce_any(is_alive, 1, keepdims=True) | tf.zeros_like(is_alive)
    masks = _masks(mask_heads, found, labels, is_alive, may_paste)
    overlap = rules.overlap_threshold
    numbers = _numbers(labels, rules.areas, is_maskwise=True, pixel=rules.pixel_threshold, overlap=overlap)
    return Found(_predict(masks, size, numbers, use_op=use_op), found)


def _masks(
    mask_heads: tensors.MaskHeads,
    found: slots.Slots,
    labels: label_codec.LabelSpec,
    is_alive: tf.Tensor,
    may_paste: tf.Tensor,
) -> ops_masks.Masks:
    return ops_masks.Masks(
        tf.cast(mask_heads.mask_logits, tf.float32),
        found.label,
        found.number,
        tf.gather(labels.thing_table(), found.label),
        is_alive,
        may_paste,
    )


def _numbers(
    labels: label_codec.LabelSpec,
    areas: mask_rules.AreaLimits,
    *,
    is_maskwise: bool,
    pixel: float,
    overlap: float,
) -> ops_rules.MaskRules:
    divisor, void = labels.label_divisor, labels.ignore_label
    return ops_rules.MaskRules(is_maskwise, pixel, overlap, areas.thing, areas.stuff, divisor, void)


def _predict(
    masks: ops_masks.Masks, size: tuple[int, int], rules: ops_rules.MaskRules, *, use_op: bool
) -> tensors.Prediction:
    prediction = ops_masks.panoptic(masks, size, rules) if use_op else None
    return pasting.predict(masks, size, rules) if prediction is None else prediction
