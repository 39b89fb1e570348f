# SPDX-License-Identifier: Apache-2.0
"""The loss of kMaX-DeepLab.

Segments are matched with slots once, by the last prediction. Each of the four losses is then taken of that
prediction and of the one in every transformer layer; a semantic loss of the encoder comes on top.

Source: Yu et al., k-means Mask Transformer (ECCV 2022), section 3; Wang et al., MaX-DeepLab (CVPR 2021),
section 3.
"""

import dataclasses

import tensorflow as tf

from panpipe.model import config, tensors
from panpipe.model import labels as label_codec
from panpipe.model.losses import (
    assignment,
    instance_discrimination,
    mask_id,
    matching,
    pq_style,
    semantic,
    truths,
)


@dataclasses.dataclass(frozen=True)
class Choices:
    """Sets how the losses choose slots and pixels.

    Attributes:
      sample_k: pixels that instance discrimination compares; 0 compares all with the segments' means.
      temperature: of drawing those pixels, as in `instance_discrimination.preference`.
      match: assigns slots; `matching.static` where XLA compiles the training step.
      draw: draws the pixels.
    """

    sample_k: int = 0
    temperature: float = 0.6
    match: matching.Match = matching.exact
    draw: instance_discrimination.Draw = instance_discrimination.draw


DEFAULT = Choices()


def loss(
    heads: tensors.MaskHeads | tensors.MaskTrainingHeads,
    targets: tensors.MaskTargets,
    loss_options: config.LossOptions,
    labels: label_codec.LabelSpec,
    choices: Choices,
) -> dict[str, tf.Tensor]:
    """Computes the weighted losses of each image of a batch, by their names in DeepLab2.

    Args:
      heads: at the network's own resolution, in float32; those of layer i give losses named 'aux_{i}…'.
      targets: the batch's targets [batch, height, width, …].
      loss_options: a loss exists if its message is present.
      labels: the classes.
      choices: say what the losses look at.

    Returns:
      float32 [batch] by name, without the total.

    Raises:
      ValueError: sizes do not fit, or `sample_k` exceeds the pixels of the mask logits.
    """
    main, auxiliary = heads if isinstance(heads, tensors.MaskTrainingHeads) else (heads, ())
    height, width = main.mask_logits.shape[1:3]
    truth = truths.truths(targets, labels, height, width)
    assigned = assignment.assign(main, truth, choices.match)
    parts = {}
    for index, one in enumerate((main, *auxiliary)):
        prefix = f'aux_{index - 1}' if index else ''
        chosen = _chosen(truth, targets.key, index, choices)
        found = _of_prediction(one, truth, assigned, loss_options, chosen, targets.thing_id_class.shape[1])
        parts.update({f'{prefix}{name}': value for name, value in found.items()})
    if loss_options.semantic_loss is not None:
        parts['semantic'] = semantic.cross_entropy(
            main.semantic_logits, targets, loss_options.semantic_loss, labels
        )
    return parts


def _of_prediction(
    heads: tensors.MaskHeads,
    truth: truths.Truths,
    assigned: assignment.Assignment,
    options: config.LossOptions,
    chosen: tf.Tensor | None,
    num_things: int,
) -> dict[str, tf.Tensor]:
    """Computes the losses of one prediction."""
    masks, parts = assignment.pixels(heads.mask_logits), {}
    if options.pq_style_loss is not None:
        weight = options.pq_style_loss.weight
        parts['pq_style_loss_class_term'] = weight * pq_style.class_term(heads.class_logits, assigned)
        parts['pq_style_loss_mask_dice_term'] = weight * pq_style.mask_dice_term(masks, assigned)
    if options.mask_id_cross_entropy_loss is not None:
        one = options.mask_id_cross_entropy_loss
        found = mask_id.cross_entropy(masks, assigned, one.top_k_percent)
        parts['mask_id_cross_entropy_loss'] = one.weight * found
    if options.instance_discrimination_loss is not None:
        feature = assignment.pixels(heads.pixel_feature)
        if chosen is None:
            found = instance_discrimination.of_means(feature, truth, num_things)
        else:
            found = instance_discrimination.of_pairs(feature, truth, chosen)
        parts['instance_discrimination_loss'] = options.instance_discrimination_loss.weight * found
    return parts


def _chosen(truth: truths.Truths, key: tf.Tensor | None, index: int, choices: Choices) -> tf.Tensor | None:
    """Draws the pixels that instance discrimination compares in one prediction, anew for each."""
    if not choices.sample_k:
        return None
    num_pixels = truth.row.shape[1]
    if choices.sample_k > num_pixels:
        raise ValueError(
            f'max_deeplab.instance_discrimination_sample_k is {choices.sample_k}, but masks have '
            f'{num_pixels} pixels; set it to {num_pixels} at most, or enlarge crop_size'
        )
    if key is None:
        key = tf.zeros([tf.shape(truth.row)[0], 2], tf.int32)
    logits = instance_discrimination.preference(truth, choices.temperature)
    return choices.draw(logits, choices.sample_k, key + index)
