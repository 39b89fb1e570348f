# SPDX-License-Identifier: Apache-2.0
"""The evaluate job: panpipe's own metrics of prediction files, with what the official evaluators do not tell.

It writes a JSON file like that of `panpipe score`, in per cent, and adds boundary PQ, PQ by the size of
segments, confidence intervals over images, and the figures of each image. The official evaluators are not
needed.
"""

import argparse
import functools
import importlib.metadata
import operator
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import apache_beam as beam
import numpy as np
from apache_beam.io import filesystems

from panpipe.model import datasets, errors, image_files
from panpipe.model.inputs import records
from panpipe.model.jobs import command_line, outputs
from panpipe.model.metrics import quality, result_files, tally
from panpipe.pipelines import execution, sources
from panpipe.pipelines.formats import registry
from panpipe.pipelines.predictions import prediction_files
from panpipe.pipelines.scoring import evaluation
from panpipe.pipelines.sources import entries, listing

_NO_TFRECORD = 'Not a valid TFRecord'
_EXAMPLES = (
    'panpipe evaluate --dataset cityscapes_panoptic --ground_truth cityscapes --split val '
    '--predictions predictions --output evaluation.json',
    "panpipe evaluate --dataset coco_panoptic --ground_truth 'records/val*' --predictions predictions "
    '--output evaluation.json',
)


class Truth(NamedTuple):
    """Holds the ground truth of an image.

    Attributes:
      name: as records call it.
      panoptic: ids, int32 [height, width].
      official_id: what the annotation file calls it by, where that is not the name.
      missing: class of each segment that the annotation lists and that has no pixel.
    """

    name: str
    panoptic: np.ndarray
    official_id: str | int | None = None
    missing: tuple[int, ...] = ()


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the job and returns its exit status. Unknown options go to Beam."""
    parser = command_line.parser('evaluate', __doc__ or '', _EXAMPLES)
    parser.add_argument(
        '--dataset', required=True, help='name of a data set, or the .json description of one'
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
    arguments, beam_arguments = parser.parse_known_args(argv)
    return command_line.run('evaluate', functools.partial(_run, arguments, beam_arguments))


def _run(arguments: argparse.Namespace, beam_arguments: Sequence[str]) -> None:
    beam_options = execution.options(beam_arguments)
    spec = datasets.find(arguments.dataset)
    image_files.allow(arguments.max_megapixels)
    outputs.check_file('--output', arguments.output)
    # Workers read this file too; a mistake in it is told sooner here.
    found = prediction_files.read(arguments.predictions, spec)
    source = _source(arguments.ground_truth, arguments.split, spec, is_strict=arguments.strict)
    judged = evaluation.Judged(
        evaluator=f'panpipe {importlib.metadata.version("panpipe")}',
        format=registry.of(spec),
        dataset=spec.name,
        split=arguments.split,
        miou_of='semantic' if found.has_semantic else 'panoptic',
    )
    try:
        execution.run(
            lambda root: build(root, source, arguments.predictions, spec, arguments.output, judged),
            beam_options,
        )
    except (RuntimeError, ValueError) as error:
        if _NO_TFRECORD not in str(error):
            raise
        raise errors.InputError(
            f'--ground_truth {arguments.ground_truth}: a file is damaged or holds no records; '
            'run `panpipe convert` again'
        ) from error
    images = result_files.read_images(arguments.output, 'evaluate')
    evaluation.show(evaluation.Figures(result_files.read(arguments.output, 'evaluate'), tuple(images)))


def build(
    root: beam.Pipeline,
    source: beam.PTransform,
    folder: str,
    spec: datasets.DatasetSpec,
    output: str,
    judged: evaluation.Judged,
) -> None:
    """Lays out the pipeline: ground truth of `source` against the predictions of `folder`."""
    _ = (
        root
        | 'ReadTruth' >> source
        | 'JudgeEachImage' >> beam.ParDo(Judge(folder, spec))
        | 'JoinCounts' >> beam.CombineGlobally(Sum(tally.Tally.zero(spec.labels)))
        | 'ComputeFigures' >> beam.Map(evaluation.figures, spec, judged)
        | 'WriteFigures' >> beam.Map(write, output)
    )


class Judge(beam.DoFn):
    """Counts one image's prediction against its ground truth."""

    def __init__(self, folder: str, spec: datasets.DatasetSpec) -> None:
        """Remembers the folder of predictions; workers read the list of them."""
        self._folder, self._spec = folder, spec

    def setup(self) -> None:
        """Reads the list of predictions, once a worker."""
        self._predictions = prediction_files.read(self._folder, self._spec)

    def process(self, truth: Truth) -> Iterator[tally.Tally]:
        """Yields the counts of an image."""
        yield judge(truth, self._predictions)


class Sum(beam.CombineFn):
    """Adds values that have `+`, from their neutral element on."""

    def __init__(self, zero: tally.Tally | quality.PanopticQuality | quality.ConfusionMatrix) -> None:
        """Takes the neutral element."""
        self._zero = zero

    def create_accumulator(self) -> Any:
        """Returns the neutral element; values are immutable, so all bundles may share it."""
        return self._zero

    def add_input(self, accumulator: Any, value: Any) -> Any:
        """Adds one value."""
        return accumulator + value

    def merge_accumulators(self, accumulators: Iterable[Any]) -> Any:
        """Adds the sums of several bundles."""
        return functools.reduce(operator.add, accumulators, self._zero)

    def extract_output(self, accumulator: Any) -> Any:
        """Returns the sum itself."""
        return accumulator


def judge(truth: Truth, found: prediction_files.Predictions) -> tally.Tally:
    """Counts one image.

    Raises:
      errors.InputError: it has no prediction, or one of another size.
    """
    name = found.name_of(truth.name, truth.official_id) or truth.name
    panoptic = found.panoptic(name) if found.has_panoptic else None
    classes = found.semantic(name, panoptic)
    for form, pixels in {'panoptic': panoptic, 'semantic': classes}.items():
        if pixels is not None and pixels.shape != truth.panoptic.shape:
            raise errors.InputError(
                f'the {form} prediction of {truth.name} is {pixels.shape} (height, width), the ground truth '
                f'{truth.panoptic.shape}; predict at the size of the image'
            )
    counted = tally.Tally.from_maps(truth.name, truth.panoptic, panoptic, classes, found.spec.labels)
    return (
        counted.missed(truth.missing, found.spec.labels) if truth.missing and found.has_panoptic else counted
    )


def from_record(serialized: bytes) -> Truth:
    """Takes the ground truth out of a record.

    Raises:
      errors.InputError: the record has none, or is damaged.
    """
    return labelled(records.parse(serialized))


def from_entry(entry: entries.ImageFile) -> Truth:
    """Reads the annotation of an image of a raw data set.

    Raises:
      errors.InputError: it has none, or its files are damaged.
    """
    label = entry.label.read() if entry.label else None
    if label is None:
        raise _unlabelled(entry.image_id)
    return Truth(entry.image_id, label.panoptic, entry.official_id, label.missing)


def labelled(record: records.Record) -> Truth:
    """Takes the ground truth out of a record.

    Raises:
      errors.InputError: there is none.
    """
    if record.panoptic is None:
        raise _unlabelled(record.image_id)
    return Truth(record.image_id, record.panoptic, record.official_id, record.missing)


def _unlabelled(name: str) -> errors.InputError:
    return errors.InputError(
        f'the image {name} of --ground_truth has no annotation; evaluate on a split that has'
    )


def write(found: evaluation.Figures, output: str) -> None:
    """Writes the JSON file of figures, and before it that of single images; each appears whole."""
    result_files.write_images(output, found.images)
    result_files.write(output, found.result)


def _source(given: str, split: str, spec: datasets.DatasetSpec, *, is_strict: bool) -> beam.PTransform:
    """Returns what yields the ground truth."""
    if os.path.isdir(given):
        found = sources.module(spec).list_images(given, split, spec)
        listing.tell('evaluate', split, found, is_strict=is_strict)
        return 'Names' >> beam.Create(found, reshuffle=True) | 'Load' >> beam.Map(from_entry)
    patterns = [pattern.strip() for pattern in given.split(',')]
    for pattern in patterns:
        if not filesystems.FileSystems.match([pattern])[0].metadata_list:
            raise errors.InputError(
                f'--ground_truth {pattern} is no folder and matches no file; give the root of a raw data '
                'set or records that `panpipe convert` wrote'
            )
    read = 'Names' >> beam.Create(patterns) | 'Records' >> beam.io.ReadAllFromTFRecord()
    return read | 'Labels' >> beam.Map(from_record)


if __name__ == '__main__':
    sys.exit(main())
