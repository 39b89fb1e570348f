# SPDX-License-Identifier: Apache-2.0
"""Changes colours at random by a learned policy.

A policy is a list of pairs of operations. One pair is drawn for an image, and each of its operations happens
with its probability, at its strength (0 .. 10). The operations are Pillow's, written for graphs.
Source: Cubuk et al., AutoAugment (CVPR 2019), section 3 and appendix A.
"""

import functools
import types
from collections.abc import Callable, Mapping

import tensorflow as tf

Operation = tuple[str, float, float]  # name, probability, strength
Policy = tuple[tuple[Operation, Operation], ...]

SIMPLE: Policy = (
    (('Sharpness', 0.4, 7), ('Brightness', 0.2, 10)),
    (('Equalize', 0.0, 0), ('Contrast', 0.2, 10)),
    (('Sharpness', 0.2, 9), ('Color', 0.2, 9)),
    (('Solarize', 0.2, 7), ('Equalize', 0.6, 0)),
    (('Sharpness', 0.2, 1), ('Equalize', 0.2, 0)),
)


def _weaker(policy: Policy, factor: float) -> Policy:
    return tuple(
        ((first[0], first[1], first[2] * factor), (second[0], second[1], second[2] * factor))
        for first, second in policy
    )


WEAK = _weaker(SIMPLE, 0.2)


def recolor(image: tf.Tensor, key: tf.Tensor, policy: Policy) -> tf.Tensor:
    """Applies a policy to an image, float32 [h, w, 3], 0 .. 255.

    Args:
      image: stays as it is where no operation happens; operations work on its values cut down to integers.
      key: int64 [2], decides what happens.
      policy: see `find`.
    """
    chance = tf.random.stateless_uniform([3], tf.random.experimental.stateless_fold_in(key, 1))
    pair = tf.minimum(tf.cast(chance[0] * len(policy), tf.int32), len(policy) - 1)

    def apply(operations: tuple[Operation, Operation]) -> tf.Tensor:
        result = image
        for (name, probability, strength), drawn in zip(operations, tf.unstack(chance[1:]), strict=True):
            change = functools.partial(_change, result, name, strength)
            result = tf.cond(drawn < probability, change, functools.partial(tf.identity, result))
        return tf.ensure_shape(result, image.shape)

    return tf.switch_case(pair, [functools.partial(apply, operations) for operations in policy])


def _change(image: tf.Tensor, name: str, strength: float) -> tf.Tensor:
    return tf.cast(_OPERATIONS[name](tf.cast(image, tf.uint8), strength), tf.float32)


def _factor(strength: float) -> float:
    """Turns a strength into how much of the original is taken: below 1 less, above 1 more than all of it."""
    return strength / 10 * 1.8 + 0.1


def _blend(degenerate: tf.Tensor, image: tf.Tensor, factor: float) -> tf.Tensor:
    degenerate = tf.cast(degenerate, tf.float32)
    mixed = degenerate + factor * (tf.cast(image, tf.float32) - degenerate)
    return tf.cast(tf.clip_by_value(mixed, 0.0, 255.0), tf.uint8)


def _color(image: tf.Tensor, strength: float) -> tf.Tensor:
    return _blend(tf.image.rgb_to_grayscale(image), image, _factor(strength))


def _contrast(image: tf.Tensor, strength: float) -> tf.Tensor:
    mean = tf.reduce_mean(tf.cast(tf.image.rgb_to_grayscale(image), tf.float32))
    return _blend(tf.floor(mean + 0.5), image, _factor(strength))


def _brightness(image: tf.Tensor, strength: float) -> tf.Tensor:
    return _blend(tf.zeros_like(image), image, _factor(strength))


def _sharpness(image: tf.Tensor, strength: float) -> tf.Tensor:
    kernel = tf.constant([[1, 1, 1], [1, 5, 1], [1, 1, 1]], tf.float32)[:, :, None, None] / 13
    smooth = tf.nn.depthwise_conv2d(
        tf.cast(image, tf.float32)[None], tf.tile(kernel, [1, 1, 3, 1]), [1, 1, 1, 1], 'SAME'
    )[0]
    smooth = tf.cast(tf.clip_by_value(smooth, 0.0, 255.0), tf.uint8)
    # The outermost pixels have no complete neighbourhood and stay as they are.
    height, width = tf.unstack(tf.shape(image)[:2])
    rows, columns = tf.range(height)[:, None], tf.range(width)[None, :]
    is_inner = (rows > 0) & (rows < height - 1) & (columns > 0) & (columns < width - 1)
    return _blend(tf.where(is_inner[:, :, None], smooth, image), image, _factor(strength))


def _solarize(image: tf.Tensor, strength: float) -> tf.Tensor:
    return tf.where(tf.cast(image, tf.int32) < int(strength / 10 * 256), image, 255 - image)


def _equalize(image: tf.Tensor, strength: float) -> tf.Tensor:
    del strength  # there is one way only
    return tf.stack([_equalized(channel) for channel in tf.unstack(image, axis=-1)], -1)


def _equalized(channel: tf.Tensor) -> tf.Tensor:
    values = tf.cast(channel, tf.int32)
    histogram = tf.math.bincount(tf.reshape(values, [-1]), minlength=256)
    step = (tf.size(values) - histogram[tf.reduce_max(values)]) // 255
    before = tf.cumsum(histogram, exclusive=True)
    table = tf.minimum((before + step // 2) // tf.maximum(step, 1), 255)
    return tf.cast(tf.where(step > 0, tf.gather(table, values), values), tf.uint8)


_OPERATIONS: Mapping[str, Callable[[tf.Tensor, float], tf.Tensor]] = types.MappingProxyType(
    {
        'Brightness': _brightness,
        'Color': _color,
        'Contrast': _contrast,
        'Equalize': _equalize,
        'Sharpness': _sharpness,
        'Solarize': _solarize,
    }
)
