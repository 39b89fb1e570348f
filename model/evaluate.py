# SPDX-License-Identifier: Apache-2.0
"""Evaluation of a network in memory: losses, panoptic quality and intersection over union."""

import dataclasses
import functools
from collections.abc import Callable, Iterable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from panpipe.model import inference, labels, quality, tensors
from panpipe.model.inputs import pipeline
from panpipe.model.postprocess import restore

Losses = dict[str, tf.Tensor]


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
        """Returns what evaluation.json holds: per cent, in the form of the score job.

        `confusion` counts pixels by true class (row) and predicted class (column; the last one is no class).
        """
        result = self.panoptic.result()
        parts = {'all': result, 'things': result.things, 'stuff': result.stuff}
        return {
            **{
                key: {name: 100 * getattr(part, key) for name, part in parts.items()}
                for key in ('pq', 'sq', 'rq')
            },
            'miou': 100 * self.semantic.result().miou,
            'losses': self.losses,
            'confusion': self.semantic.counts.tolist(),
            'evaluator': 'panpipe',
        }


def evaluate(
    network: keras.Model,
    samples: Iterable[pipeline.EvaluationSample],
    spec: labels.LabelSpec,
    postprocessing: inference.Postprocessing,
    loss: Callable[[tensors.Heads, tensors.Targets], Losses],
    views: inference.Views,
) -> Evaluation:
    """Evaluates a network on annotated samples, at their original resolution.

    Args:
      network: from `build.network`.
      samples: with annotations.
      spec: the classes and the panoptic codec.
      postprocessing: its numbers.
      loss: (heads at full resolution, targets) → losses [batch] by name.
      views: are averaged.
    """
    predict = tf.function(
        functools.partial(_predict, network, spec, views, postprocessing, loss), reduce_retracing=True
    )
    losses: list[dict[str, float]] = []
    panoptic, semantic = quality.PanopticQuality.zero(spec), quality.ConfusionMatrix.zero(spec)
    for sample in samples:
        prediction, sample_losses = predict(sample)
        truth = np.asarray(sample.raw.panoptic)
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
    views: inference.Views,
    postprocessing: inference.Postprocessing,
    loss: Callable[[tensors.Heads, tensors.Targets], Losses],
    sample: pipeline.EvaluationSample,
) -> tuple[tensors.Prediction, Losses]:
    if sample.targets is None:
        raise ValueError('a sample has no targets (None); evaluate annotated records')
    prediction, heads = inference.predict(network, sample.image, spec, views, postprocessing)
    raw_height, raw_width = tf.unstack(tf.shape(sample.raw.image)[:2])
    losses = {name: value[0] for name, value in loss(heads, sample.targets).items()}
    return restore.original_size(prediction, sample.resized, raw_height, raw_width), losses
