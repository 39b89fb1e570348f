# SPDX-License-Identifier: Apache-2.0
"""Predictions from masks in plain numpy: slow, short, and what the ops and their twins are held against."""

import collections

import numpy as np

from panpipe.custom_ops import rules as ops_rules

_POWERS = (
    0.00132647273130715,
    0.00967151299118996,
    0.055507335811853,
    0.240222424268723,
    0.693147003650665,
    1,
)


def exponential(x: np.ndarray) -> np.ndarray:
    """Returns e^x of float32 numbers up to 0, as `model.postprocess.mask_pixels` specifies it."""
    power = np.maximum(x, np.float32(-20)) * np.float32(np.log2(np.e))
    whole = np.rint(power)
    value = np.zeros_like(power)
    for factor in _POWERS:
        value = value * (power - whole) + np.float32(factor)
    return np.where(x < -20, np.float32(0), np.ldexp(value, whole.astype(int)))


def softmax(logits: np.ndarray) -> np.ndarray:
    """Returns probabilities of logits, float32 [..., slots]; a logit of -inf counts as none."""
    terms = exponential(logits - logits.max(-1, keepdims=True))
    parts = np.zeros((*terms.shape[:-1], 16), np.float32)
    for slot in range(terms.shape[-1]):
        parts[..., slot % 16] += terms[..., slot]
    for size in (8, 4, 2, 1):
        parts = parts[..., :size] + parts[..., size:]
    return terms / parts


def resize(logits: np.ndarray, height: int, width: int) -> np.ndarray:
    """Clamps logits, float32 [h, w, slots], and resizes them bilinearly, corners aligned."""
    values = np.clip(np.nan_to_num(logits, nan=-np.inf, posinf=np.inf, neginf=-np.inf), -(2.0**100), 2.0**100)
    for axis, size in ((1, width), (0, height)):
        count = values.shape[axis]
        place = np.arange(size, dtype=np.float32) * (np.float32(count - 1) / np.float32(max(size - 1, 1)))
        below = np.floor(place).astype(int)
        way = (place - below.astype(np.float32)).reshape((-1, 1) if axis == 1 else (-1, 1, 1))
        first = values.take(below, axis)
        values = first + (values.take(np.minimum(below + 1, count - 1), axis) - first) * way
    return values


def confidences(logits: np.ndarray, threshold: float) -> np.ndarray:
    """Averages the probability of each slot, float32 [slots], where it exceeds a threshold."""
    probability = softmax(resize(logits, *logits.shape[:2]))
    is_on = probability > np.float32(threshold)
    steps = np.where(is_on, np.rint(probability * np.float32(2**24)), 0).astype(np.int64).sum((0, 1))
    return (steps / np.maximum(is_on.sum((0, 1)), 1) / 2**24).astype(np.float32)


def panoptic(
    logits: np.ndarray,
    slots: list[tuple[int, int, bool, bool, bool]],
    size: tuple[int, int],
    rules: ops_rules.MaskRules,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Predicts one image.

    Args:
      logits: float32 [h, w, slots].
      slots: label, number, is_thing, is_alive and may_paste of each, as `masks.Masks` has them.
      size: height and width of the prediction.
      rules: its numbers.

    Returns:
      The maps of `tensors.Prediction`.
    """
    values = resize(logits, *size)
    label, number, is_thing, is_alive, may_paste = (np.array(fact) for fact in zip(*slots, strict=True))
    semantic = label[values.argmax(-1)]
    found, instance = np.full(size, rules.void), np.ones(size, int)
    if not is_alive.any():
        return found, semantic, instance, np.zeros(size, np.float32)
    living = np.where(is_alive, values, -np.inf).astype(np.float32)
    probability = softmax(living)
    score = probability.max(-1)
    if rules.is_maskwise:
        owner = _pasted(probability, np.argsort(number), may_paste, rules)
        instance[owner >= 0] = number[owner[owner >= 0]]
    else:
        is_sure = (score > np.float32(rules.pixel_threshold)) & (living.max(-1) == values.max(-1))
        owner = np.where(is_sure, living.argmax(-1), -1)
        instance = number[living.argmax(-1)]
    # The slots of a stuff class count together.
    groups = np.where(is_thing, np.arange(len(label)), -1 - label)
    area = collections.Counter(groups[owner[owner >= 0]].tolist())
    for slot in set(owner[owner >= 0]):
        limit = rules.thing_area_limit if is_thing[slot] else rules.stuff_area_limit
        if area[groups[slot]] >= limit:
            found[owner == slot] = label[slot] * rules.label_divisor + is_thing[slot] * number[slot]
    return found, semantic, instance, score


def _pasted(
    probability: np.ndarray, order: np.ndarray, may_paste: np.ndarray, rules: ops_rules.MaskRules
) -> np.ndarray:
    """Pastes masks one after another where nothing is yet: the slot of each pixel, -1 of none."""
    owner = np.full(probability.shape[:2], -1)
    for slot in order:
        mask = probability[..., slot] > np.float32(rules.pixel_threshold)
        new = mask & (owner < 0)
        needed = np.float32(rules.overlap_threshold) * np.float32(mask.sum())
        if may_paste[slot] and np.float32(new.sum()) > needed:
            owner[new] = slot
    return owner
