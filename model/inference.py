# SPDX-License-Identifier: Apache-2.0
"""From images to a prediction: the network, once or averaged over several views, then post-processing."""

import dataclasses
import itertools
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Self

import tensorflow as tf

from panpipe.model import config, errors, labels, tensors
from panpipe.model.layers import resize
from panpipe.model.postprocess import (
    from_heads,
    mask_rules,
    masks,
    numbers,
    scores,
    slots,
    upsample,
    upsampled,
)

# A network of `build.network`: (images, training=False, pool_scale=…) → heads at the decoder's stride. A mask
# transformer, which takes no pool_scale, makes `tensors.MaskHeads`.
Network = Callable[..., Any]


class Postprocessing(numbers.Numbers):
    """Turns heads into predictions by the numbers of `evaluator_options`."""

    @classmethod
    def from_options(cls, options: config.EvaluatorOptions) -> Self:
        """Takes the numbers from `evaluator_options`."""
        return cls(
            options.center_score_threshold,
            options.nms_kernel,
            options.keep_k_centers,
            options.stuff_area_limit,
            options.merge_semantic_and_instance_with_tf_op,
        )

    def predict(
        self, heads: tensors.Heads, codec: labels.LabelSpec, height: int, width: int
    ) -> tensors.Prediction:
        """Turns heads at the decoder's stride into a prediction of [batch, height, width]."""
        return from_heads.predict(heads, codec, (height, width), self)

    def merge(
        self, heads: tensors.Heads, probability: tf.Tensor, codec: labels.LabelSpec
    ) -> tensors.Prediction:
        """Turns heads at full resolution into a prediction, by class probabilities in place of logits."""
        # Post-processing takes the largest class of a pixel, so probabilities serve it as well as logits.
        heads = heads._replace(semantic_logits=probability)
        return upsampled.predict(heads, codec, self)


@dataclasses.dataclass(frozen=True)
class MaskPostprocessing:
    """Holds the numbers of a mask transformer's post-processing (`evaluator_options`).

    Attributes:
      rules: of pixelwise or of maskwise post-processing.
      use_op: uses the compiled op if it was built.
    """

    rules: mask_rules.Pixelwise | mask_rules.Maskwise
    use_op: bool

    @classmethod
    def from_options(cls, options: config.EvaluatorOptions) -> Self:
        """Takes the numbers from `evaluator_options`.

        Raises:
          errors.InputError: transformer_post_processing names none, or the numbers of maskwise are absent.
        """
        method = options.transformer_post_processing
        if method not in _MASK_RULES:
            raise errors.InputError(
                f'evaluator_options.transformer_post_processing is {method!r}; it is one of '
                f'{", ".join(_MASK_RULES)}'
            )
        try:
            rules = _MASK_RULES[method](options)
        except ValueError as error:
            raise errors.InputError(f'evaluator_options: {error}') from error
        return cls(rules, options.merge_semantic_and_instance_with_tf_op)

    def predict(
        self, heads: tensors.MaskHeads, codec: labels.LabelSpec, height: int, width: int
    ) -> masks.Found:
        """Turns heads at any stride into a prediction of [batch, height, width]."""
        if isinstance(self.rules, mask_rules.Maskwise):
            return masks.find_maskwise(heads, codec, (height, width), self.rules, use_op=self.use_op)
        return masks.find_pixelwise(heads, codec, (height, width), self.rules, use_op=self.use_op)


_MASK_RULES: Mapping[str, Callable[[mask_rules.Options], mask_rules.Pixelwise | mask_rules.Maskwise]] = {
    'pixelwise': mask_rules.Pixelwise.of,
    'maskwise': mask_rules.Maskwise.of,
}
AnyPostprocessing = Postprocessing | MaskPostprocessing


def postprocessing(experiment: config.Experiment) -> AnyPostprocessing:
    """Takes what fits the network of a configuration from its `evaluator_options`."""
    kind = MaskPostprocessing if experiment.model_options.has_masks else Postprocessing
    return kind.from_options(experiment.evaluator_options)


@dataclasses.dataclass(frozen=True)
class Views:
    """Lists the views (scales, mirror image) whose predictions are averaged.

    Attributes:
      scales: factors of height - 1 and width - 1, so that corners stay aligned.
      adds_flipped: each scale also mirrored left to right.
    """

    scales: tuple[float, ...] = (1.0,)
    adds_flipped: bool = False

    @classmethod
    def from_options(cls, options: config.EvaluatorOptions) -> Self:
        """Takes them from `evaluator_options`."""
        return cls(options.eval_scales or (1.0,), options.add_flipped_images)

    @property
    def is_plain(self) -> bool:
        """Whether the only view is the image as it is."""
        return self.scales == (1.0,) and not self.adds_flipped


class Inference(NamedTuple):
    """Holds the outputs of a network for images [batch, height, width, 3].

    Attributes:
      prediction: maps of the images' size.
      heads: for losses: at the images' size, but those of a mask transformer as they are.
      evidence: the probability of classes, float32 [batch, h, w, num_classes]: at the decoder's stride where
        there is one view, else at the images' size. Of a mask transformer, its slots.
    """

    prediction: tensors.Prediction
    heads: tensors.AnyHeads
    evidence: tf.Tensor | slots.Slots

    def instances(
        self, restored: tensors.Prediction, codec: labels.LabelSpec, *, use_op: bool = True
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Scores the things of an image, of a batch of 1.

        Args:
          restored: the prediction at the image's own size.
          codec: the classes and the panoptic codec.
          use_op: uses the compiled op if it was built; the result is the same.

        Returns:
          Panoptic ids int32 [instances], ascending, and scores float32 [instances], 0 .. 1.
        """
        if isinstance(self.evidence, slots.Slots):
            return scores.of_slots(restored, self.evidence, codec)
        return scores.instances(self.prediction, self.evidence, codec, use_op=use_op)


def predict(
    network: Network,
    images: tf.Tensor,
    codec: labels.LabelSpec,
    views: Views,
    postprocessing: AnyPostprocessing,
) -> Inference:
    """Predicts panoptic maps. In a graph, what the caller leaves aside is not computed.

    Args:
      network: from `build.network`.
      images: float32 [batch, height, width, 3], RGB, 0 .. 255.
      codec: the classes and the panoptic codec.
      views: are averaged; a mask transformer sees the image as it is.
      postprocessing: its numbers.
    """
    height, width = images.shape[1:3]
    if isinstance(postprocessing, MaskPostprocessing):
        mask_heads = tensors.MaskHeads(*map(_cast, network(images, training=False)))
        found = postprocessing.predict(mask_heads, codec, height, width)
        return Inference(found.prediction, mask_heads, found.slots)
    if not views.is_plain:
        heads, probability = average(network, images, views)
        return Inference(postprocessing.merge(heads, probability, codec), heads, probability)
    heads = _float32(network(images, training=False))
    return Inference(
        postprocessing.predict(heads, codec, height, width),
        full_resolution(heads, images),
        tf.nn.softmax(heads.semantic_logits),
    )


def full_resolution(heads: tensors.Heads, images: tf.Tensor) -> tensors.Heads:
    """Brings heads, in float32 whatever the network computes in, to the resolution of `images`."""
    return upsample(_float32(heads), images.shape[1], images.shape[2])


def for_losses(heads: tensors.AnyHeads, images: tf.Tensor) -> tensors.AnyHeads:
    """Brings heads to float32, and to the resolution that losses want: that of `images`, but for masks."""
    if isinstance(heads, tensors.Heads):
        return full_resolution(heads, images)
    masks: tensors.AnyHeads = tf.nest.map_structure(_cast, heads)
    return masks


def _cast(head: tf.Tensor | None) -> tf.Tensor | None:
    return None if head is None else tf.cast(head, tf.float32)


def average(network: Network, images: tf.Tensor, views: Views) -> tuple[tensors.Heads, tf.Tensor]:
    """Averages the outputs of a network over several views of images, each with the same weight.

    Args:
      network: from `build.network`.
      images: float32 [batch, height, width, 3], RGB, 0 .. 255.
      views: what to average over.

    Returns:
      Heads at the resolution of `images`, and the average of the class probabilities [batch, height, width,
      classes], which is not the softmax of the averaged logits.

    Source: Cheng et al., Panoptic-DeepLab (CVPR 2020), section 4, "multi-scale inference" and "flip".
    """
    flips = (False, True) if views.adds_flipped else (False,)
    total: list[tf.Tensor] = []
    for scale, flip in itertools.product(views.scales, flips):
        heads = _heads(network, images, scale, flip)
        seen = [part for part in (*heads, tf.nn.softmax(heads.semantic_logits)) if part is not None]
        total = [a + b for a, b in zip(total, seen, strict=True)] if total else seen
    *parts, probability = [part / (len(views.scales) * len(flips)) for part in total]
    center, offset = parts[1:] or (None, None)
    return tensors.Heads(parts[0], center, offset), probability


def _heads(network: Network, images: tf.Tensor, scale: float, flip: bool) -> tensors.Heads:
    """Returns the heads of one view, as if seen at the place and the resolution of `images`."""
    height, width = images.shape[1:3]
    view = images
    if scale != 1.0:
        view = resize.bilinear(view, int((height - 1) * scale + 1), int((width - 1) * scale + 1))
    heads = network(_mirrored(view) if flip else view, training=False, pool_scale=scale)
    return full_resolution(_mirrored_back(heads) if flip else heads, images)


def _float32(heads: tensors.Heads) -> tensors.Heads:
    return tensors.Heads(*map(_cast, heads))


def _mirrored_back(heads: tensors.Heads) -> tensors.Heads:
    """Mirrors the heads of a mirror image; its offsets to the right point to the left."""
    logits, center, offset = (None if head is None else _mirrored(head) for head in heads)
    return tensors.Heads(logits, center, None if offset is None else offset * (1.0, -1.0))


def _mirrored(maps: tf.Tensor) -> tf.Tensor:
    return tf.reverse(maps, axis=(2,))
