# SPDX-License-Identifier: Apache-2.0
"""Evaluation of a network in memory: losses, panoptic quality, average precision, intersection over union.

A network without an instance branch is judged by intersection over union alone.
"""

import dataclasses
import functools
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from panpipe.model import inference, labels, tensors
from panpipe.model.inputs import pipeline
from panpipe.model.losses import total
from panpipe.model.metrics import average_precision, quality, results
from panpipe.model.postprocess import restore, surest_slots
from panpipe.model.postprocess import slots as slots_lib

Losses = dict[str, tf.Tensor]
# Of images [1, height, width, 3].
Predict = Callable[[tf.Tensor], inference.Inference]

_MEASURES = ('pq', 'sq', 'rq')
_SUREST = 10  # slots that are looked at
_PRECISIONS = ('AP_Mask', 'AP_Mask_@IoU=0.5', 'AP_Mask_@IoU=0.75')


class Masks(NamedTuple):
    """Holds the slots of a mask transformer, and the surest of them with their masks."""

    slots: slots_lib.Slots
    surest: surest_slots.Surest


class Found(NamedTuple):
    """Holds what was found of one sample, as tensors with a leading axis of 1.

    Attributes:
      prediction: maps of the image's own size.
      center: heat-map of the network's input, float32 [1, rows, columns, 1]; None without an instance branch.
      offset: float32 [1, rows, columns, 2], (y, x) pixels, or None.
      masks: of a mask transformer, else None.
    """

    prediction: tensors.Prediction
    center: tf.Tensor | None
    offset: tf.Tensor | None
    masks: Masks | None = None


# Is called with the number of a sample, counted from 0, the sample, and what was found of it.
Watch = Callable[[int, pipeline.EvaluationSample, Found], None]


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """Holds the figures of one evaluation.

    Attributes:
      losses: mean of each loss over the images.
      panoptic: counts of panoptic quality, or None for a semantic-only network.
      semantic: confusion of semantic classes.
      precision: average precision of instances by `average_precision.NAMES`, empty for such a network.
      num_images: how many images were evaluated.
    """

    losses: dict[str, float]
    panoptic: quality.PanopticQuality | None
    semantic: quality.ConfusionMatrix
    precision: Mapping[str, float]
    num_images: int = 0

    def scalars(self, *, all_precisions: bool = False) -> dict[str, float]:
        """Returns TensorBoard scalars by the reference's tags; what is undefined is left out.

        Args:
          all_precisions: also average precision and recall by thresholds and sizes.
        """
        result = self.panoptic and self.panoptic.result()
        names = average_precision.NAMES if all_precisions else average_precision.NAMES[:1]
        found = {
            **{f'losses/eval_{total.tag(name)}': value for name, value in self.losses.items()},
            **({f'evaluation/pq/{key}': value for key, value in _panoptic(result).items()} if result else {}),
            **{f'evaluation/ap/{name}': self.precision[name] for name in names if self.precision},
            'evaluation/iou/IoU': self.semantic.result().miou,
        }
        return {tag: value for tag, value in found.items() if not math.isnan(value)}

    def result(self, classes: Mapping[str, int] | None = None, step: int | None = None) -> results.Result:
        """Computes what evaluation.json holds.

        Args:
          classes: number of each class by its name, for figures of classes and their confusion.
          step: of the training.
        """
        counted = results.of_counts(self.panoptic, self.semantic, classes or {}, 'panpipe', self.num_images)
        confusion = results.Confusion.of(self.semantic, classes) if classes else None
        return dataclasses.replace(
            counted,
            miou=results.per_cent(results.defined(self.semantic.result().miou)),
            instance=self._precision(),
            confusion=confusion,
            losses={name: results.defined(value) for name, value in self.losses.items()} or None,
            step=step,
        )

    def _precision(self) -> results.Precision | None:
        """Returns average precision in per cent, None for a semantic-only network."""
        if not self.precision:
            return None
        ap, ap50, ap75 = (results.per_cent(results.defined(self.precision[name])) for name in _PRECISIONS)
        return results.Precision(evaluator='pycocotools (COCOeval)', ap=ap, ap50=ap50, ap75=ap75)


def _panoptic(result: quality.PanopticResult) -> dict[str, float]:
    """Returns what the reference writes: means, and segments matched, missed and invented of a class."""
    classes = [one for one in result.per_class if one.is_valid]
    counts = {'TP': 'true_positives', 'FN': 'false_negatives', 'FP': 'false_positives'}
    return {
        **{key.upper(): getattr(result, key) for key in _MEASURES},
        **{
            key: sum(getattr(one, name) for one in classes) / max(len(classes), 1)
            for key, name in counts.items()
        },
    }


def evaluate(
    samples: Iterable[pipeline.EvaluationSample],
    codec: labels.LabelSpec,
    predict: Predict,
    loss: Callable[[tensors.AnyHeads, tensors.AnyTargets], Losses],
    *,
    has_instances: bool = True,
    watches: Sequence[Watch] = (),
) -> Evaluation:
    """Evaluates a network on annotated samples, at their original resolution.

    Args:
      samples: with annotations.
      codec: the classes and the panoptic codec.
      predict: the network and its post-processing, such as `inference.predict` with all but images given.
      loss: (heads at full resolution, targets) → losses [batch] by name.
      has_instances: whether the network is instance-aware, so that panoptic quality has a meaning.
      watches: are called with each sample, to look at it.
    """
    traced = tf.function(
        functools.partial(_predict, predict, loss, codec), reduce_retracing=True, autograph=False
    )
    losses: list[dict[str, float]] = []
    panoptic = quality.PanopticQuality.zero(codec)
    semantic = quality.ConfusionMatrix.zero(codec)
    things = average_precision.AveragePrecision()
    for number, sample in enumerate(samples):
        seen, ids, sure, sample_losses = traced(sample)
        for watch in watches:
            watch(number, sample, seen)
        prediction = seen.prediction
        truth, found = np.asarray(sample.raw.panoptic), prediction.panoptic[0].numpy()
        if has_instances:
            panoptic += quality.PanopticQuality.from_maps(truth, found, codec)
            sureness = dict(zip(ids.numpy().tolist(), sure.numpy().tolist(), strict=True))
            things += average_precision.AveragePrecision.from_maps(truth, found, sureness, codec)
        semantic += quality.ConfusionMatrix.from_maps(
            codec.decode(truth)[0], prediction.semantic[0].numpy(), codec
        )
        losses.append({name: float(value) for name, value in sample_losses.items()})
    means = {name: float(np.mean([one[name] for one in losses])) for name in (losses[0] if losses else {})}
    if not has_instances:
        return Evaluation(means, None, semantic, {}, len(losses))
    return Evaluation(means, panoptic, semantic, things.result(), len(losses))


def _predict(
    predict: Predict,
    loss: Callable[[tensors.AnyHeads, tensors.AnyTargets], Losses],
    codec: labels.LabelSpec,
    sample: pipeline.EvaluationSample,
) -> tuple[Found, tf.Tensor, tf.Tensor, Losses]:
    """Returns what was found, the things' ids and scores, and the losses."""
    if sample.targets is None:
        raise ValueError('a sample has no targets (None); evaluate annotated records')
    found = predict(sample.image)
    raw_height, raw_width = tf.unstack(tf.shape(sample.raw.image)[:2])
    losses = {name: value[0] for name, value in loss(found.heads, sample.targets).items()}
    restored = restore.original_size(found.prediction, sample.resized, raw_height, raw_width)
    ids, sure = found.instances(restored, codec)
    heads = found.heads if isinstance(found.heads, tensors.Heads) else tensors.Heads(None, None, None)
    return Found(restored, heads.center_heatmap, heads.offset, _masks(found)), ids, sure, losses


def _masks(found: inference.Inference) -> Masks | None:
    if not (isinstance(found.heads, tensors.MaskHeads) and isinstance(found.evidence, slots_lib.Slots)):
        return None
    return Masks(found.evidence, surest_slots.find(found.evidence, found.heads.mask_logits, _SUREST))
