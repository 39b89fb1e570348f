# SPDX-License-Identifier: Apache-2.0
"""Counts predictions against ground truth in a pipeline, and writes the figures of all images."""

import dataclasses
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import apache_beam as beam

from panpipe.model import datasets
from panpipe.model import labels as label_specs
from panpipe.model.metrics import result_files, tally
from panpipe.pipelines import execution
from panpipe.pipelines.predictions import prediction_files
from panpipe.pipelines.running import failures
from panpipe.pipelines.scoring import evaluation, pairs

Accumulator = tuple[tally.Tally, list[tally.Image]]


class Judgement(NamedTuple):
    """States what is judged, and where the figures go.

    Attributes:
      folder: address of the predictions.
      spec: the data set.
      output: address of the JSON file.
      judged: what goes into it as it is.
      policy: of images that cannot be read.
    """

    folder: str
    spec: datasets.DatasetSpec
    output: str
    judged: evaluation.Judged
    policy: failures.Policy


@dataclasses.dataclass(eq=False)
class JudgeImages(execution.Step):
    """Counts each image's prediction against its ground truth.

    Attributes:
      judgement: which predictions.
    """

    judgement: Judgement

    def expand(self, truths: beam.PCollection) -> Any:
        """Returns an `Outcome`: the counts of each image, and dead letters."""
        return truths | 'JudgeImage' >> failures.TryEach(_Judge(self.judgement))


@dataclasses.dataclass(eq=False)
class WriteFigures(execution.Step):
    """Writes the JSON files of figures from the counts of all images.

    Attributes:
      judgement: names the file.
    """

    judgement: Judgement

    def expand(self, counted: Any) -> beam.PCollection:
        """Takes joined counts and dead letters."""
        counts, letters = counted
        return counts | 'Write' >> beam.Map(write, self.judgement, beam.pvalue.AsList(letters))


class _Judge(failures.Try):
    """Counts one image's prediction against its ground truth."""

    def __init__(self, judgement: Judgement) -> None:
        """Remembers the folder of predictions; workers read the list of them."""
        super().__init__(judgement.policy)
        self._judgement = judgement

    def setup(self) -> None:
        """Reads the list of predictions, once a worker."""
        self._predictions = prediction_files.read(self._judgement.folder, self._judgement.spec)

    def results(self, element: pairs.Truth) -> Iterator[tally.Tally]:
        """Yields the counts of an image."""
        counted = pairs.judge(element, self._predictions)
        execution.count(images=1, bytes=element.panoptic.nbytes)
        yield counted

    def name(self, element: pairs.Truth) -> str:
        """Names the image."""
        return element.name


class Join(beam.CombineFn):
    """Joins counts; the images' own are gathered in a list, for joining tuples takes time that grows."""

    def __init__(self, labels: label_specs.LabelSpec) -> None:
        """Takes what the ids mean."""
        self._zero = tally.Tally.zero(labels)

    def create_accumulator(self) -> Accumulator:
        """Returns no counts."""
        return self._zero, []

    def add_input(self, accumulator: Accumulator, value: tally.Tally) -> Accumulator:
        """Adds the counts of some images."""
        total, images = accumulator
        images.extend(value.images)
        return total + dataclasses.replace(value, images=()), images

    def merge_accumulators(self, accumulators: Iterable[Accumulator]) -> Accumulator:
        """Adds what several bundles counted."""
        total, images = self.create_accumulator()
        for part, more in accumulators:
            total += part
            images.extend(more)
        return total, images

    def extract_output(self, accumulator: Accumulator) -> tally.Tally:
        """Returns all counts."""
        total, images = accumulator
        return dataclasses.replace(total, images=tuple(images))


def write(counted: tally.Tally, judgement: Judgement, letters: Sequence[failures.DeadLetter]) -> None:
    """Writes the JSON file of figures, and before it that of single images; each appears whole."""
    judgement.policy.settle(judgement.output, letters)
    found = evaluation.figures(counted, judgement.spec, judgement.judged)
    result_files.write_images(judgement.output, found.images)
    result_files.write(judgement.output, found.result)
