# SPDX-License-Identifier: Apache-2.0
"""Evaluation of a network in memory: losses, panoptic quality and intersection over union."""

import dataclasses
import functools
from collections.abc import Callable, Iterable
from typing import Any, Self

import keras
import numpy as np
import tensorflow as tf

from panpipe.custom_ops import merge
from panpipe.model import config, labels, quality, tensors
from panpipe.model.inputs import pipeline
from panpipe.model.postprocess import restore, upsample

Losses = dict[str, tf.Tensor]


@dataclasses.dataclass(frozen=True)
class Postprocessing:
    """Holds the numbers of post-processing (`evaluator_options`)."""

    center_threshold: float
    nms_kernel: int
    keep_k_centers: int
    stuff_area_limit: int
    use_op: bool

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
        self, heads: tensors.Heads, spec: labels.LabelSpec, height: int, width: int
    ) -> tensors.Prediction:
        """Turns heads at the decoder's stride into a prediction of [batch, height, width]."""
        return merge.panoptic_from_heads(heads, spec, height=height, width=width, **dataclasses.asdict(self))


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """Holds the figures of one evaluation.

    Attributes:
      losses: mean of each loss over the images.
      panoptic: counts of panoptic quality.
      semantic: confusion of semantic classes.
    """

    losses: dict[str, float]
    panoptic: quality.PanopticQuality
    semantic: quality.ConfusionMatrix

    def scalars(self) -> dict[str, float]:
        """Returns TensorBoard scalars by the reference's tags, fractions."""
        result = self.panoptic.result()
        return {
            **{f'losses/eval_{name}_loss': value for name, value in self.losses.items()},
            'evaluation/pq/PQ': result.pq,
            'evaluation/pq/SQ': result.sq,
            'evaluation/pq/RQ': result.rq,
            'evaluation/iou/IoU': self.semantic.result().miou,
        }

    def summary(self) -> dict[str, Any]:
        """Returns what evaluation.json holds: per cent, in the form of the score job."""
        result = self.panoptic.result()
        parts = {'all': result, 'things': result.things, 'stuff': result.stuff}
        return {
            **{
                key: {name: 100 * getattr(part, key) for name, part in parts.items()}
                for key in ('pq', 'sq', 'rq')
            },
            'miou': 100 * self.semantic.result().miou,
            'losses': self.losses,
            'evaluator': 'panpipe',
        }


def evaluate(
    network: keras.Model,
    samples: Iterable[pipeline.EvaluationSample],
    spec: labels.LabelSpec,
    postprocessing: Postprocessing,
    loss: Callable[[tensors.Heads, tensors.Targets], Losses],
) -> Evaluation:
    """Evaluates a network on annotated samples, at their original resolution."""
    predict = tf.function(
        functools.partial(_predict, network, spec, postprocessing, loss), reduce_retracing=True
    )
    losses: list[dict[str, float]] = []
    panoptic, semantic = quality.PanopticQuality.zero(spec), quality.ConfusionMatrix.zero(spec)
    for sample in samples:
        prediction, sample_losses = predict(sample)
        truth = sample.raw.panoptic.numpy()
        panoptic += quality.PanopticQuality.from_maps(truth, prediction.panoptic[0].numpy(), spec)
        semantic += quality.ConfusionMatrix.from_maps(
            spec.decode(truth)[0], prediction.semantic[0].numpy(), spec
        )
        losses.append({name: float(value) for name, value in sample_losses.items()})
    means = {name: float(np.mean([one[name] for one in losses])) for name in (losses[0] if losses else {})}
    return Evaluation(means, panoptic, semantic)


def _predict(
    network: keras.Model,
    spec: labels.LabelSpec,
    postprocessing: Postprocessing,
    loss: Callable[[tensors.Heads, tensors.Targets], Losses],
    sample: pipeline.EvaluationSample,
) -> tuple[tensors.Prediction, Losses]:
    height, width = sample.image.shape[1:3]
    heads = network(sample.image, training=False)
    prediction = postprocessing.predict(heads, spec, height, width)
    raw_height, raw_width = tf.unstack(tf.shape(sample.raw.image)[:2])
    losses = {name: value[0] for name, value in loss(upsample(heads, height, width), sample.targets).items()}
    return restore.original_size(prediction, sample.resized, raw_height, raw_width), losses
