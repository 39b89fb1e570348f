# SPDX-License-Identifier: Apache-2.0
"""Calls the compiled ops of mask transformers, where they are built; `model.postprocess` has their twins."""

import dataclasses
from typing import NamedTuple

import tensorflow as tf

from panpipe.custom_ops import library
from panpipe.custom_ops import rules as ops_rules
from panpipe.model import tensors


class Masks(NamedTuple):
    """Holds a mask transformer's outputs in the form that the op takes.

    Attributes:
      logits: float32 [batch, h, w, slots], at any stride.
      label: int32 [batch, slots], the class of each slot.
      number: int32 [batch, slots], of 1 .. slots each once; masks are pasted in this order.
      is_thing: bool [batch, slots], whether `label` is a thing.
      is_alive: bool [batch, slots], the slots that pixels may go to. Where none is, all is void.
      may_paste: bool [batch, slots], the slots whose masks may be pasted.
    """

    logits: tf.Tensor
    label: tf.Tensor
    number: tf.Tensor
    is_thing: tf.Tensor
    is_alive: tf.Tensor
    may_paste: tf.Tensor


def panoptic(masks: Masks, size: tuple[int, int], rules: ops_rules.MaskRules) -> tensors.Prediction | None:
    """Predicts maps [batch, *size] by the compiled op, which holds no more of full resolution than these.

    Its twin is `model.postprocess.pasting.predict`.

    Returns:
      None where the op is not built.

    Raises:
      tf.errors.InvalidArgumentError: shapes differ or are empty, or labels or numbers are out of range.
    """
    ops = library.load()
    if ops is None:
        return None
    maps = ops.panpipe_panoptic_from_masks(*masks, size, **dataclasses.asdict(rules))
    return tensors.Prediction(*maps)


def confidences(mask_logits: tf.Tensor, threshold: float) -> tf.Tensor | None:
    """Averages the probability of each slot over the pixels where it exceeds a threshold.

    Its twin is `model.postprocess.mask_pixels.confidences`.

    Args:
      mask_logits: float32 [batch, h, w, slots].
      threshold: 0 .. 1.

    Returns:
      float32 [batch, slots], 0 where the threshold is exceeded nowhere; None where the op is not built.
    """
    ops = library.load()
    return None if ops is None else ops.panpipe_mask_confidences(mask_logits, pixel_threshold=threshold)
