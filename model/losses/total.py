# SPDX-License-Identifier: Apache-2.0
"""The loss of a network, and what it consists of.

That of Panoptic-DeepLab is λ_sem L_sem + λ_heatmap L_heatmap + λ_offset L_offset, with cross entropy over the
hardest pixels, squared error and absolute error; that of kMaX-DeepLab is in `mask_transformer`.

Source: Cheng et al., Panoptic-DeepLab (CVPR 2020), section 3.3.
"""

import tensorflow as tf

from panpipe.model import config, tensors
from panpipe.model import labels as label_codec
from panpipe.model.experiment import names
from panpipe.model.losses import hardest, mask_transformer, semantic

# Losses whose names in DeepLab2 are longer by '_loss'.
_SHORT = ('semantic', 'center', 'regression', 'total')


def loss(
    heads: tensors.AnyHeads,
    targets: tensors.AnyTargets,
    loss_options: config.LossOptions,
    labels: label_codec.LabelSpec,
    choices: mask_transformer.Choices = mask_transformer.DEFAULT,
) -> dict[str, tf.Tensor]:
    """Computes the weighted losses of each image of a batch.

    Args:
      heads: of Panoptic-DeepLab at full resolution [batch, height, width, …], sizes known beforehand. Its
        semantic logits may be smaller by an integer stride (height − 1 divisible by it); labels are then
        taken at that stride. Those of a mask transformer have the resolutions that the network gives them.
      targets: the batch's targets [batch, height, width, …], those of masks for a mask transformer.
      loss_options: a loss exists if its message is present.
      labels: the classes, and which label is void.
      choices: say what the losses of a mask transformer look at.

    Returns:
      float32 [batch] by name, and their sum 'total'. Panoptic-DeepLab has 'semantic', 'center' and
      'regression'; a mask transformer has 'semantic' and those of `mask_transformer.loss`.

    Raises:
      ValueError: no loss is configured, a name is unknown, a head is missing, or sizes do not fit.
    """
    if isinstance(heads, tensors.Heads) and isinstance(targets, tensors.Targets):
        parts = _of_pixels(heads, targets, loss_options, labels)
    elif not isinstance(heads, tensors.Heads) and isinstance(targets, tensors.MaskTargets):
        parts = mask_transformer.loss(heads, targets, loss_options, labels, choices)
    else:
        raise ValueError(f'{type(heads).__name__} cannot learn from {type(targets).__name__}')
    if not parts:
        raise ValueError(
            'loss_options holds no loss of this network; set semantic_loss, and center_loss and '
            'regression_loss, or for a mask transformer pq_style_loss, mask_id_cross_entropy_loss and '
            'instance_discrimination_loss'
        )
    return {**parts, 'total': tf.add_n(list(parts.values()))}


def tag(name: str) -> str:
    """Returns the name that DeepLab2's summaries have for a loss."""
    return f'{name}_loss' if name in _SHORT else name


def _of_pixels(
    heads: tensors.Heads,
    targets: tensors.Targets,
    loss_options: config.LossOptions,
    labels: label_codec.LabelSpec,
) -> dict[str, tf.Tensor]:
    """Computes the losses of Panoptic-DeepLab."""
    parts = {}
    if loss_options.semantic_loss is not None:
        options = loss_options.semantic_loss
        parts['semantic'] = semantic.cross_entropy(heads.semantic_logits, targets, options, labels)
    if loss_options.center_loss is not None:
        truth, weight = targets.center[..., None], targets.center_weight
        parts['center'] = _regression(heads.center_heatmap, truth, weight, loss_options.center_loss)
    if loss_options.regression_loss is not None:
        truth, weight = targets.offset, targets.offset_weight
        parts['regression'] = _regression(heads.offset, truth, weight, loss_options.regression_loss)
    return parts


def _regression(
    prediction: tf.Tensor | None,
    target: tf.Tensor,
    weight: tf.Tensor,
    options: config.SingleLossOptions,
) -> tf.Tensor:
    if prediction is None:
        raise ValueError('center_loss and regression_loss need the instance branch; enable it or remove them')
    of_pixels = names.find('the name of a loss', options.name, names.CENTER_LOSSES)
    losses = of_pixels(prediction, target) * weight
    return options.weight * hardest.mean_of_hardest(losses, options.top_k_percent)
