# SPDX-License-Identifier: Apache-2.0
"""Turns the masks and classes of a mask transformer into a prediction, pixel by pixel or mask by mask."""

from collections.abc import Callable
from typing import NamedTuple

import tensorflow as tf

from panpipe.model import labels as label_codec
from panpipe.model import tensors
from panpipe.model.postprocess import mask_pixels, mask_rules, pasting, slots


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
    del use_op

    def of_image(parts: tuple[tf.Tensor, ...]) -> tensors.Prediction:
        logits, label, number, alive = parts
        pixels = mask_pixels.classify(logits, alive, *size)
        is_sure = pixels.leads & (pixels.score > rules.pixel_threshold) & tf.reduce_any(alive)
        owner = tf.where(is_sure, pixels.slot, -1)
        return tensors.Prediction(
            pasting.panoptic(owner, label, number, labels, rules.areas),
            tf.gather(label, pixels.likeliest),
            tf.where(tf.reduce_any(alive), tf.gather(number, pixels.slot), 1),
            tf.where(tf.reduce_any(alive), pixels.score, 0.0),
        )

    return Found(_each(of_image, mask_heads.mask_logits, found.label, found.number, is_alive), found)


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
    found, order = slots.in_order(found, mask_heads.mask_logits, rules, use_op=use_op)
    is_thing = tf.gather(labels.thing_table(), found.label)
    may_paste = found.confidence >= tf.where(is_thing, rules.thing_threshold, rules.stuff_threshold)
    # Without any slot as sure as the lower of the two, there is not even a score.
    is_alive = found.confidence >= min(rules.thing_threshold, rules.stuff_threshold)
    is_alive = tf.reduce_any(is_alive, 1, keepdims=True) | tf.zeros_like(is_alive)

    def of_image(parts: tuple[tf.Tensor, ...]) -> tensors.Prediction:
        logits, label, number, alive, first_to_last, may = parts
        pixels = mask_pixels.classify(logits, alive, *size)
        masks = mask_pixels.masks(logits, rules.pixel_threshold, *size)
        owner = pasting.paste(masks, first_to_last, may, rules.overlap_threshold)
        return tensors.Prediction(
            pasting.panoptic(owner, label, number, labels, rules.areas),
            tf.gather(label, pixels.likeliest),
            tf.where(owner < 0, 1, tf.gather(number, tf.maximum(owner, 0))),
            tf.where(tf.reduce_any(alive), pixels.score, 0.0),
        )

    parts = (mask_heads.mask_logits, found.label, found.number, is_alive, order, may_paste)
    return Found(_each(of_image, *parts), found)


def _each(
    of_image: Callable[[tuple[tf.Tensor, ...]], tensors.Prediction], *parts: tf.Tensor
) -> tensors.Prediction:
    """Predicts the images of a batch one after the other."""
    types = tensors.Prediction(tf.int32, tf.int32, tf.int32, tf.float32)
    return tf.map_fn(of_image, parts, fn_output_signature=types)
