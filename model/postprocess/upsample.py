# SPDX-License-Identifier: Apache-2.0
"""Brings the heads from the decoder's stride to the resolution of the network's input."""

import tensorflow as tf

from panpipe.model import tensors


def upsample(heads: tensors.Heads, height: int, width: int) -> tensors.Heads:
    """Resizes all heads bilinearly (corners aligned); offsets become pixels of the new resolution.

    Args:
      heads: [batch, h, w, channels] each; a head that is None stays None.
      height: rows of the result.
      width: columns of the result.

    Returns:
      [batch, height, width, channels] each.

    Source: Cheng et al., Panoptic-DeepLab (CVPR 2020), section 3.2. Offsets grow with the distance of the
      corners, by (height - 1) / (h - 1) and (width - 1) / (w - 1).
    """
    center, offset = heads.center_heatmap, heads.offset
    return tensors.Heads(
        semantic_logits=_resize(heads.semantic_logits, height, width),
        center_heatmap=None if center is None else _resize(center, height, width),
        offset=None if offset is None else _resize(_rescale(offset, height, width), height, width),
    )


def _resize(image: tf.Tensor, height: int, width: int) -> tf.Tensor:
    return tf.raw_ops.ResizeBilinear(images=image, size=(height, width), align_corners=True)


def _rescale(offset: tf.Tensor, height: int, width: int) -> tf.Tensor:
    # A single row or column has no distance of corners; its offsets stay as they are.
    steps = tf.maximum(tf.shape(offset)[1:3] - 1, 1)
    wanted = tf.where(tf.shape(offset)[1:3] > 1, tf.stack([height, width]) - 1, 1)
    return offset * tf.cast(wanted / steps, offset.dtype)
