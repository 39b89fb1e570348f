# SPDX-License-Identifier: Apache-2.0
"""The evaluate job: panpipe's own metrics of prediction files, with what the official evaluators do not tell.

It writes a JSON file like that of `panpipe score`, in per cent, and adds boundary PQ, PQ by the size of
segments, confidence intervals over images, and the figures of each image. The official evaluators are not
needed.
"""

import argparse
import dataclasses
import functools
import importlib.metadata
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple, Self

import apache_beam as beam

from panpipe.model import datasets, errors, image_files
from panpipe.model import labels as label_specs
from panpipe.model.jobs import command_line, outputs
from panpipe.model.metrics import result_files, tally
from panpipe.model.storage import addresses, files, lock, reach, record_sets
from panpipe.pipelines import execution, sources
from panpipe.pipelines.predictions import prediction_files
from panpipe.pipelines.record_files import lookup
from panpipe.pipelines.running import failures, totals
from panpipe.pipelines.scoring import evaluation, pairs
from panpipe.pipelines.sources import entries, listing

Accumulator = tuple[tally.Tally, list[tally.Image]]
_EXAMPLES = (
    'panpipe evaluate --dataset cityscapes_panoptic --ground_truth cityscapes --split val '
    '--predictions predictions --output evaluation.json',
    "panpipe evaluate --dataset coco_panoptic --ground_truth 'records/val*' --predictions predictions "
    '--output evaluation.json',
)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the job and returns its exit status. Unknown options go to Beam."""
    parser = command_line.parser('evaluate', __doc__ or '', _EXAMPLES)
    parser.add_argument(
        '--dataset',
        help='name of a data set, its .json description, or what keeps a copy: a SavedModel, a run, records '
        '(default: that of the records in --ground_truth)',
    )
    parser.add_argument(
        '--ground_truth',
        required=True,
        help='root of the raw data set, or glob patterns of records separated by commas',
    )
    parser.add_argument('--split', default='val', help='split of the raw data set (default: val)')
    parser.add_argument('--predictions', required=True, help='folder that predict wrote')
    parser.add_argument('--output', required=True, help='JSON file to write')
    command_line.add_raw_data(parser)
    failures.add_arguments(parser)
    arguments, beam_arguments = parser.parse_known_args(argv)
    return command_line.run('evaluate', functools.partial(_run, arguments, beam_arguments))


def _run(arguments: argparse.Namespace, beam_arguments: Sequence[str]) -> None:
    started = time.monotonic()
    beam_options = execution.options(beam_arguments)
    policy = failures.Policy.from_arguments(arguments)
    image_files.allow(arguments.max_megapixels)
    outputs.check_file('--output', arguments.output)
    for option, place in (
        ('--predictions', arguments.predictions),
        *(('--ground_truth', part) for part in addresses.listed(arguments.ground_truth)),
    ):
        reach.check(option, place)
    folder, output = addresses.absolute(arguments.predictions), addresses.absolute(arguments.output)
    spec = _dataset(arguments)
    # Workers read this file too; a mistake in it is told sooner here.
    found = prediction_files.read(folder, spec)
    source = Source.find(arguments, spec, policy)
    judged = evaluation.Judged(
        evaluator=f'panpipe {importlib.metadata.version("panpipe")}',
        format=spec.format,
        dataset=spec.name,
        split=arguments.split,
        miou_of='semantic' if found.has_semantic else 'panoptic',
    )
    with lock.held(lock.beside(output), 'evaluate'):
        counted = execution.run(
            lambda root: build(root, source, Judgement(folder, spec, output, judged, policy)), beam_options
        )
    if execution.is_template(beam_options):
        print('panpipe evaluate: wrote the template')
        return
    images = result_files.read_images(output, 'evaluate')
    evaluation.show(evaluation.Figures(result_files.read(output, 'evaluate'), tuple(images)))
    totals.show('evaluate', counted, time.monotonic() - started)


def _is_raw(given: str) -> bool:
    return files.is_folder(given) and not files.find(given, f'*{record_sets.SUFFIX}')


def _dataset(arguments: argparse.Namespace) -> datasets.DatasetSpec:
    given = arguments.ground_truth
    if _is_raw(given):
        found = datasets.find(arguments.dataset) if arguments.dataset else None
    else:
        found = lookup.dataset(
            lookup.find_files(addresses.listed(given), '--ground_truth'), arguments.dataset
        )
    if found is None:
        raise errors.InputError(
            f'--dataset is missing: {given} does not tell of which data set it is; name it'
        )
    return found


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


@dataclasses.dataclass(frozen=True)
class Source:
    """Reads ground truth.

    Attributes:
      entries: images of a raw data set.
      paths: files of records, where there are no entries.
      policy: of images that cannot be read.
    """

    entries: tuple[entries.ImageFile, ...]
    paths: tuple[str, ...]
    policy: failures.Policy

    @classmethod
    def find(cls, arguments: argparse.Namespace, spec: datasets.DatasetSpec, policy: failures.Policy) -> Self:
        """Lists what is at the root of a raw data set, or the files that patterns of records match.

        Raises:
          errors.InputError: there is nothing.
        """
        given = arguments.ground_truth
        if _is_raw(given):
            found = sources.module(spec).list_images(addresses.absolute(given), arguments.split, spec)
            listing.tell('evaluate', arguments.split, found, is_strict=arguments.strict)
            return cls(tuple(found), (), policy)
        return cls((), tuple(lookup.find_files(addresses.listed(given), '--ground_truth')), policy)

    def read(self, root: beam.Pipeline) -> tuple[beam.PCollection[pairs.Truth], beam.PCollection]:
        """Returns ground truth, and dead letters."""
        if not self.paths:
            names = root | 'Names' >> beam.Create(self.entries, reshuffle=True)
            loaded = names | 'Load' >> failures.Try(self.policy, _from_entry, _image_id).split()
            return loaded.results, loaded[failures.LETTERS]
        serialized, letters = root | 'Records' >> lookup.ReadRecords(self.paths, self.policy)
        loaded = serialized | 'Labels' >> failures.Try(self.policy, _from_record, _record_size).split()
        both = (letters, loaded[failures.LETTERS]) | 'Join letters' >> beam.Flatten()
        return loaded.results, both


def build(root: beam.Pipeline, source: Source, judgement: Judgement) -> None:
    """Lays out the pipeline: ground truth of `source` against the predictions."""
    truths, letters = source.read(root)
    judged = truths | 'JudgeEachImage' >> Judge(judgement).split()
    both = (letters, judged[failures.LETTERS]) | 'Letters' >> beam.Flatten()
    _ = (
        judged.results
        | 'JoinCounts' >> beam.CombineGlobally(Join(judgement.spec.labels))
        | 'WriteFigures' >> beam.Map(write, judgement, beam.pvalue.AsList(both))
    )


class Judge(failures.Try):
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


def _from_entry(entry: entries.ImageFile) -> Iterator[pairs.Truth]:
    yield pairs.from_entry(entry)


def _from_record(serialized: bytes) -> Iterator[pairs.Truth]:
    yield pairs.from_record(serialized)


def _image_id(entry: entries.ImageFile) -> str:
    return entry.image_id


def _record_size(serialized: bytes) -> str:
    return f'a record of {len(serialized)} bytes'


if __name__ == '__main__':
    sys.exit(main())
