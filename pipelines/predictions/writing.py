# SPDX-License-Identifier: Apache-2.0
"""Writes the files of predictions on workers, and at the end those over all images."""

import collections
import concurrent.futures
import dataclasses
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import apache_beam as beam

from panpipe.model import datasets, errors
from panpipe.model.storage import addresses, files
from panpipe.pipelines import execution
from panpipe.pipelines.formats import layout, registry
from panpipe.pipelines.formats import maps as formats_maps
from panpipe.pipelines.predictions import archives, notes, resumption, saved_model
from panpipe.pipelines.running import failures

# Images that are predicted and not written yet: 16 MB each, of Cityscapes.
_MOST_WAITING = 4
# An interrupted run does at most so many images of a bundle again.
_NOTES_A_FILE = 64


@dataclasses.dataclass(frozen=True)
class Plan:
    """States what workers write.

    Attributes:
      unfinished: the folder.
      format_name: of its files.
      spec: the data set.
      policy: of images that cannot be read.
      archive: split and algorithm in the names of archives, or None for no archives.
    """

    unfinished: resumption.Unfinished
    format_name: str
    spec: datasets.DatasetSpec
    policy: failures.Policy
    archive: tuple[str, str] | None


@dataclasses.dataclass(eq=False)
class WriteImages(execution.Step):
    """Writes the files of predicted images, and notes each.

    Attributes:
      plan: names folder, format and data set.
    """

    plan: Plan

    def expand(self, predicted: beam.PCollection) -> beam.PCollection:
        """Returns a number for each image that is written."""
        return predicted | 'WriteImage' >> beam.ParDo(_WriteImages(self.plan))


@dataclasses.dataclass(eq=False)
class FinishFolder(execution.Step):
    """Writes the files over all images, and lets the folder appear, when all images are written.

    Attributes:
      plan: names folder, format and data set.
    """

    plan: Plan

    def expand(self, done: Any) -> beam.PCollection:
        """Takes all images, dead letters, and the numbers that `WriteImages` returns."""
        listed, letters, written = done
        names = listed | 'TakeNames' >> beam.Map(_name)
        once = listed.pipeline | 'Once' >> beam.Create([None])
        return once | 'Finish' >> beam.Map(
            finish,
            self.plan,
            beam.pvalue.AsIter(names),
            beam.pvalue.AsList(letters),
            beam.pvalue.AsIter(written),
        )


def _name(image: saved_model.Image) -> str:
    return image.name


class _WriteImages(beam.DoFn):
    """Writes the files of images in a thread of its own, while the model looks at the next ones.

    Compression and file systems leave the interpreter to others. Images are noted some dozens at a time.
    """

    def __init__(self, plan: Plan) -> None:
        """Takes the folder, the name of its format, and the data set."""
        self._plan = plan

    def start_bundle(self) -> None:
        """Opens the thread."""
        self._thread = concurrent.futures.ThreadPoolExecutor(1)
        self._pending = collections.deque[concurrent.futures.Future[formats_maps.Note]]()
        self._noted: list[formats_maps.Note] = []

    def process(self, maps: formats_maps.Maps) -> Iterator[int]:
        """Hands one image over; waits where too many wait already."""
        while self._pending and (self._pending[0].done() or len(self._pending) >= _MOST_WAITING):
            self._noted.append(self._pending.popleft().result())
        self._pending.append(self._thread.submit(self._write, maps))
        if len(self._noted) >= _NOTES_A_FILE:
            self._note()
        execution.count(images=1, bytes=maps.panoptic.nbytes)
        yield 1

    def finish_bundle(self) -> None:
        """Waits until all files are there."""
        with self._thread:
            self._noted += [written.result() for written in self._pending]
        self._note()

    def _note(self) -> None:
        if self._noted:
            notes.write(self._plan.unfinished.notes, self._noted)
        self._noted = []

    def _write(self, maps: formats_maps.Maps) -> formats_maps.Note:
        form = registry.FORMATS[self._plan.format_name]
        note: formats_maps.Note = form.write(self._plan.unfinished.folder, maps, self._plan.spec)
        return note


def finish(
    seed: object,
    plan: Plan,
    names: Iterable[str],
    letters: Sequence[failures.DeadLetter],
    written: Iterable[int],
) -> None:
    """Writes what is over all images, and lets the folder appear. Runs on a worker, when all others are done.

    Raises:
      errors.InputError: an image has no prediction.
    """
    del seed
    sum(written)  # waits for the files
    unfinished = plan.unfinished
    if unfinished.is_finished():
        return  # a runner did this step twice
    plan.policy.settle(unfinished.output, letters)
    with notes.Book(unfinished.notes) as book:
        missing = book.missing(set(names) - {letter.image for letter in letters})
        if missing:
            raise errors.InputError(
                f'the prediction of {missing[0]} ({len(missing)} in all) was not written into '
                f'{unfinished.folder}; do all workers reach --output? Give the same command again'
            )
        unfinished.drop_parts()
        form = registry.FORMATS[plan.format_name]
        for file_name, parts in form.documents(book, plan.spec).items():
            with files.created(addresses.join(unfinished.folder, file_name)) as file:
                file.writelines(part.encode() for part in parts)
    # What an interrupted run left of them may be cut short, or not be wanted any more.
    files.delete([addresses.join(unfinished.folder, layout.ARCHIVES)])
    if plan.archive:
        archives.write(unfinished.folder, plan.format_name, *plan.archive)
    unfinished.finish()
