# SPDX-License-Identifier: Apache-2.0
"""Pictures of a run while it goes on, in TensorBoard and as PNG files: of its first batch, of evaluations."""

import dataclasses
import os

import numpy as np
import tensorflow as tf

from panpipe.model import config, datasets, tensors
from panpipe.model.drawing import evaluated, panels, pictures
from panpipe.model.inputs import pipeline, previews
from panpipe.model.postprocess import centers
from panpipe.model.training import evaluator, run_folder

_SIDE = 512  # pixels: the longer side of a picture in TensorBoard
_TARGETS = ('classes', 'centers', 'offsets', 'losses')
_MASK_TARGETS = ('classes', 'masks')


@dataclasses.dataclass(frozen=True)
class Snapshots:
    """Draws the first samples of an evaluation; called with each sample, in order.

    Attributes:
      directory: of the run.
      spec: the data set.
      options: say how many, whether as files too, and how centers are found.
      step: of the evaluated weights.
    """

    directory: run_folder.RunDirectory
    spec: datasets.DatasetSpec
    options: config.EvaluatorOptions
    step: int

    def __call__(self, number: int, sample: pipeline.EvaluationSample, found: evaluator.Found) -> None:
        """Draws a sample, counted from 0, if it is among the first `num_vis_samples`."""
        if number >= self.options.num_vis_samples:
            return
        seen = self._as_arrays(sample, found)
        height, width = seen.image.shape[:2]
        image_id = np.asarray(sample.raw.image_id).item().decode()
        self._board(f'sample_{number:06d}_{image_id}', seen, _small(height, width))
        if self.options.save_predictions:
            folder = self.options.override_save_dir or os.path.join(self.directory.path, run_folder.PICTURES)
            for kind, picture in evaluated.draw(seen, self.spec, (height, width)).items():
                run_folder.write_png(os.path.join(folder, f'{number:06d}_{kind}.png'), picture)

    def _board(self, group: str, seen: evaluated.Evaluated, size: panels.Size) -> None:
        drawn = evaluated.draw(seen, self.spec, size)
        chosen = evaluated.CHOICE if seen.instances else evaluated.SEMANTIC_CHOICE
        shown = {f'{group}/{place}_{kind}': drawn[kind] for place, kind in enumerate(chosen, 1)}
        self.directory.pictures('eval', shown, self.step)

    def _as_arrays(self, sample: pipeline.EvaluationSample, found: evaluator.Found) -> evaluated.Evaluated:
        image, truth = np.asarray(sample.raw.image), np.asarray(sample.raw.panoptic)
        prediction = tensors.Prediction(*(each[0].numpy() for each in found.prediction))
        return evaluated.Evaluated(image, truth, prediction, self._instances(sample, found))

    def _instances(
        self, sample: pipeline.EvaluationSample, found: evaluator.Found
    ) -> evaluated.Instances | None:
        if found.center is None or found.offset is None or not isinstance(sample.targets, tensors.Targets):
            return None
        options = self.options
        rows, columns = (int(side) for side in sample.resized)
        peaks = centers.peaks(
            found.center[..., 0], threshold=options.center_score_threshold, nms_kernel=options.nms_kernel
        )
        points = centers.positions(peaks[0], keep_k=options.keep_k_centers).numpy()
        return evaluated.Instances(
            found.center[0, :rows, :columns, 0].numpy(),
            points[(points < (rows, columns)).all(axis=1)],
            found.offset[0, :rows, :columns].numpy(),
            tensors.Targets(*(np.asarray(each)[0, :rows, :columns] for each in sample.targets)),
        )


def show_batch(
    directory: run_folder.RunDirectory,
    images: tf.Tensor,
    targets: tensors.AnyTargets,
    spec: datasets.DatasetSpec,
    limit: int,
) -> None:
    """Draws the first samples of a batch with their targets, as the pictures of training at step 0.

    Args:
      directory: of the run.
      images: float32 [batch, height, width, 3], 0 .. 255.
      targets: those of the images.
      spec: the data set.
      limit: number of samples at most.
    """
    shown: dict[str, np.ndarray] = {}
    names = _MASK_TARGETS if isinstance(targets, tensors.MaskTargets) else _TARGETS
    for number, crop in enumerate(previews.samples_of(images, targets, limit)):
        size = _small(*crop.targets.semantic.shape)
        named = {'image': pictures.scale(crop.image, size, is_label=False)}
        drawn = panels.of_targets(crop.image, crop.targets, spec, size)
        named |= {name: panel.picture for name, panel in zip(names, drawn, strict=True)}
        group = f'first_batch_{number:02d}'
        shown |= {
            f'{group}/{place}_{name}': picture for place, (name, picture) in enumerate(named.items(), 1)
        }
    directory.pictures('train', shown, 0)


def _small(height: int, width: int) -> panels.Size:
    """Returns the size of a small picture, no larger than the image."""
    side = min(_SIDE, max(height, width))
    return panels.fitted(height, width, (side, side))
