# SPDX-License-Identifier: Apache-2.0
"""The loss of semantic classes: cross entropy over the hardest pixels."""

import tensorflow as tf

from panpipe.model import config, tensors
from panpipe.model import labels as label_codec
from panpipe.model.experiment import names
from panpipe.model.losses import hardest, truths


def cross_entropy(
    logits: tf.Tensor,
    targets: tensors.AnyTargets,
    options: config.SingleLossOptions,
    labels: label_codec.LabelSpec,
) -> tf.Tensor:
    """Computes the weighted loss of each image of a batch.

    Args:
      logits: float32 [batch, h, w, num_classes]; labels are taken at their resolution.
      targets: the batch's targets [batch, height, width, …].
      options: weight, and the share of the pixels to keep.
      labels: tells which label is void.

    Returns:
      float32 [batch].

    Raises:
      ValueError: the name is unknown, or the sizes do not fit.
    """
    of_pixels = names.find('semantic_loss.name', options.name, names.SEMANTIC_LOSSES)
    semantic, weight = (
        truths.at_stride(maps, logits.shape[1], logits.shape[2])
        for maps in (targets.semantic, targets.semantic_weight)
    )
    weight = tf.where(semantic == labels.ignore_label, 0.0, weight)
    losses = of_pixels(logits, semantic) * weight
    return options.weight * hardest.mean_of_hardest(losses, options.top_k_percent)
