# SPDX-License-Identifier: Apache-2.0
"""The loss of Panoptic-DeepLab.

L = λ_sem L_sem + λ_heatmap L_heatmap + λ_offset L_offset, with cross entropy over the hardest pixels, squared
error and absolute error.

Source: Cheng et al., Panoptic-DeepLab (CVPR 2020), section 3.3.
"""

import tensorflow as tf

from panpipe.model import config, tensors
from panpipe.model import labels as label_codec
from panpipe.model.losses import hardest, pixel

_REGRESSIONS = {'mse': pixel.mean_squared_error, 'l1': pixel.mean_absolute_error}


def loss(
    heads: tensors.Heads,
    targets: tensors.Targets,
    loss_options: config.LossOptions,
    labels: label_codec.LabelSpec,
) -> dict[str, tf.Tensor]:
    """Computes the weighted losses of each image of a batch.

    Args:
      heads: at full resolution [batch, height, width, …], sizes known beforehand. Semantic logits may be
        smaller by an integer stride (height − 1 divisible by it); labels are then taken at that stride.
      targets: the batch's targets [batch, height, width, …].
      loss_options: a loss exists if its message is present.
      labels: tells which label is void.

    Returns:
      float32 [batch] by name: 'semantic', 'center', 'regression' (those that exist) and 'total', their sum.

    Raises:
      ValueError: no loss is configured, a name is unknown, or a head is missing.
    """
    parts = {}
    if loss_options.semantic_loss is not None:
        parts['semantic'] = _semantic(heads.semantic_logits, targets, loss_options.semantic_loss, labels)
    if loss_options.center_loss is not None:
        parts['center'] = _regression(
            heads.center_heatmap, targets.center[..., None], targets.center_weight, loss_options.center_loss
        )
    if loss_options.regression_loss is not None:
        parts['regression'] = _regression(
            heads.offset, targets.offset, targets.offset_weight, loss_options.regression_loss
        )
    if not parts:
        raise ValueError('loss_options holds no loss; set semantic_loss, center_loss or regression_loss')
    return {**parts, 'total': tf.add_n(list(parts.values()))}


def _semantic(
    logits: tf.Tensor,
    targets: tensors.Targets,
    options: config.SingleLossOptions,
    labels: label_codec.LabelSpec,
) -> tf.Tensor:
    if options.name != 'softmax_cross_entropy':
        raise ValueError(f'semantic_loss.name is {options.name!r}; it must be softmax_cross_entropy')
    # A map of one row is at full resolution.
    stride = max((targets.semantic.shape[1] - 1) // max(logits.shape[1] - 1, 1), 1)
    semantic = targets.semantic[:, ::stride, ::stride]
    weight = targets.semantic_weight[:, ::stride, ::stride]
    weight = tf.where(semantic == labels.ignore_label, 0.0, weight)
    losses = pixel.softmax_cross_entropy(logits, semantic) * weight
    return options.weight * hardest.mean_of_hardest(losses, options.top_k_percent)


def _regression(
    prediction: tf.Tensor | None,
    target: tf.Tensor,
    weight: tf.Tensor,
    options: config.SingleLossOptions,
) -> tf.Tensor:
    if prediction is None:
        raise ValueError('center_loss and regression_loss need the instance branch; enable it or remove them')
    if options.name not in _REGRESSIONS:
        raise ValueError(f'loss name {options.name!r} is unknown; it is one of {", ".join(_REGRESSIONS)}')
    losses = _REGRESSIONS[options.name](prediction, target) * weight
    return options.weight * hardest.mean_of_hardest(losses, options.top_k_percent)
