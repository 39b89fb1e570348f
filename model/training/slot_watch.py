# SPDX-License-Identifier: Apache-2.0
"""Watches what the slots of a mask transformer do while it is evaluated, for the report."""

import os

import numpy as np

from panpipe.model import datasets
from panpipe.model.drawing import slot_masks
from panpipe.model.inputs import pipeline
from panpipe.model.layers import resize
from panpipe.model.metrics import result_files, slot_use
from panpipe.model.training import evaluator, run_folder

_FILE = '{number:06d}.png'
_MOST = 3  # samples to draw: what a report has room for


class SlotWatch:
    """Counts the classes that slots hold, and draws the surest slots of the first samples.

    The folder `slots` of the run holds the result: slots.json and pictures.
    """

    def __init__(
        self, directory: run_folder.RunDirectory, spec: datasets.DatasetSpec, num_shown: int, step: int
    ) -> None:
        """Begins; `num_shown` samples are drawn, 3 at most, and `step` is that of the evaluated weights."""
        self._spec, self._num_shown, self._step = spec, min(num_shown, _MOST), step
        self._folder = os.path.join(directory.path, slot_use.FOLDER)
        self._use: slot_use.SlotUse | None = None
        self._shown: list[slot_use.Shown] = []

    def __call__(self, number: int, sample: pipeline.EvaluationSample, found: evaluator.Found) -> None:
        """Looks at a sample; those of a network without slots are passed over."""
        if found.masks is None:
            return
        slots, labels = found.masks.slots, self._spec.labels
        panoptic, instance = (
            each[0].numpy() for each in (found.prediction.panoptic, found.prediction.instance)
        )
        one = slot_use.SlotUse.of_image(
            panoptic, instance, slots.label[0].numpy(), slots.number[0].numpy(), labels
        )
        self._use = one if self._use is None else self._use + one
        if number < self._num_shown:
            image_id = np.asarray(sample.raw.image_id).item().decode()
            self._draw(number, image_id, sample, found)

    def _draw(
        self, number: int, image_id: str, sample: pipeline.EvaluationSample, found: evaluator.Found
    ) -> None:
        masks = _masks(sample, found)
        title = f'{image_id}: the {len(masks)} surest of {len(self._use.images) if self._use else 0} slots'
        image = np.asarray(sample.raw.image)
        sheet = slot_masks.draw(title, image, found.prediction.panoptic[0].numpy(), masks, self._spec)
        file = _FILE.format(number=number)
        run_folder.write_png(os.path.join(self._folder, file), sheet)
        self._shown.append(slot_use.Shown(image_id, file))

    def write(self) -> None:
        """Writes what was found, if there are slots."""
        if self._use is None:
            return
        names = {category.id: category.name for category in self._spec.categories}
        told = slot_use.SlotResult(
            self._spec.name,
            self._step,
            self._use.num_images,
            len(self._use.images),
            self._use.figures([names.get(i, '') for i in range(self._spec.labels.num_classes)]),
            tuple(self._shown),
        )
        result_files.write_typed(os.path.join(self._folder, slot_use.FILE), told)


def _masks(sample: pipeline.EvaluationSample, found: evaluator.Found) -> list[slot_masks.SlotMask]:
    """Cuts the padding of the network's input off the surest slots' masks."""
    assert found.masks is not None
    slots, surest = found.masks
    height, width = sample.image.shape[1:3]
    rows, columns = (int(side) for side in sample.resized)
    whole = resize.bilinear(surest.mask, height, width)[0, :rows, :columns].numpy()
    label = slots.label[0].numpy()
    return [
        slot_masks.SlotMask(int(slot), int(label[slot]), float(sureness), whole[..., i])
        for i, (slot, sureness) in enumerate(
            zip(surest.slot[0].numpy(), surest.sureness[0].numpy(), strict=True)
        )
    ]
