# SPDX-License-Identifier: Apache-2.0
"""Calls the compiled ops, where they are built, and the twin of the merge where they are not.

The merge, by which they all go:

1. A pixel whose label is one of the thing ids is a thing, any other is stuff, which ignores the instance map.
2. Stuff becomes `label * divisor`, but void where the area limit is not 0 and the class has that many pixels
   or fewer in the image.
3. Things are grouped by instance id; 0 is a group like any other. The label of most of a group's pixels is
   its class, the smaller one in a tie. Its pixels become `class * divisor + k`, where k counts the groups of
   that class from 1 in ascending order of instance id.
4. A group for which k would reach the divisor becomes void. Void is `void_label * divisor`.
"""

import dataclasses
from collections.abc import Sequence

import tensorflow as tf

from panpipe.custom_ops import library, twin
from panpipe.custom_ops import rules as merge_rules
from panpipe.model import tensors


def op_available() -> bool:
    """Returns whether the compiled ops can be used; otherwise their twins run in their place."""
    return library.available()


def merge(
    semantic: tf.Tensor,
    instance: tf.Tensor,
    *,
    thing_ids: Sequence[int],
    label_divisor: int,
    stuff_area_limit: int,
    void_label: int,
    use_op: bool = True,
) -> tf.Tensor:
    """Merges a semantic and an instance map into a panoptic map.

    The module says by which rules.

    Args:
      semantic: int32 [batch, height, width], labels from 0; one beyond the classes (ignore) is stuff.
      instance: int32 [batch, height, width], any integers; read on thing pixels only.
      thing_ids: labels of things.
      label_divisor: at least 1.
      stuff_area_limit: pixels, at least 0.
      void_label: label of void, at least 0.
      use_op: uses the compiled op if it was built; the result is the same.

    Returns:
      int32 [batch, height, width].

    Raises:
      tf.errors.InvalidArgumentError: a label is negative or too large for int32, a number is out of
        range or the shapes differ (the last two are ValueErrors, too).
    """
    rules = merge_rules.Rules(tuple(thing_ids), label_divisor, stuff_area_limit, void_label)
    semantic = tf.convert_to_tensor(semantic, tf.int32, name='semantic')
    instance = tf.convert_to_tensor(instance, tf.int32, name='instance')
    if semantic.shape.rank not in (None, 3) or not semantic.shape.is_compatible_with(instance.shape):
        raise merge_rules.refuse(
            f'semantic {semantic.shape} and instance {instance.shape} must both be [batch, height, width]'
        )
    ops = library.load() if use_op else None
    if ops is None:
        return twin.merge(semantic, instance, rules)
    return ops.panpipe_merge(semantic, instance, **dataclasses.asdict(rules))


def panoptic_from_heads(
    heads: tensors.Heads,
    size: tf.Tensor | tuple[int, int],
    centers: merge_rules.CenterRules,
    rules: merge_rules.Rules,
) -> tensors.Prediction | None:
    """Makes a prediction of heads at any stride by the compiled op.

    Its twin is `model.postprocess`: upsample, argmax, centers, grouping and merge, one after the other, with
    all logits at full resolution between them. The op holds no more of full resolution than the prediction.

    Args:
      heads: float32 [batch, h, w, channels] each.
      size: int32 [2], height and width of the prediction.
      centers: how centers are chosen.
      rules: how maps are merged.

    Returns:
      Maps [batch, height, width], or None where the twin has to run: the op is not built, or the heads lack
      the instance branch.

    Raises:
      tf.errors.InvalidArgumentError: the heads differ in shape, are empty, or size is not positive.
    """
    if heads.center_heatmap is None or heads.offset is None:
        return None
    ops = library.load()
    if ops is None:
        return None
    inputs = (tf.convert_to_tensor(head, tf.float32) for head in heads)
    maps = ops.panpipe_panoptic_from_heads(
        *inputs, size, **dataclasses.asdict(centers), **dataclasses.asdict(rules)
    )
    return tensors.Prediction(*maps)
