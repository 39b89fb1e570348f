# SPDX-License-Identifier: Apache-2.0
"""The evaluate job: panpipe's own metrics of prediction files, with what the official evaluators lack.

It writes a JSON file like that of `panpipe score`, in per cent, and adds boundary PQ, PQ by the size of
segments, confidence intervals over images, and the figures of each image. The official evaluators are not
needed.
"""

import argparse
import functools
import importlib.metadata
import sys
import time
from collections.abc import Sequence

import apache_beam as beam

from panpipe.model import datasets, errors, image_files
from panpipe.model.jobs import command_line, outputs
from panpipe.model.metrics import result_files
from panpipe.model.storage import addresses, files, lock, reach, record_sets
from panpipe.pipelines import execution, sources
from panpipe.pipelines.predictions import prediction_files
from panpipe.pipelines.record_files import lookup
from panpipe.pipelines.running import failures, totals
from panpipe.pipelines.scoring import counting, evaluation, reading
from panpipe.pipelines.sources import listing

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
        help='name of a data set, its .json description, or a folder that keeps one: a model, a run, records '
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
    # Workers read this file too; a mistake in it shows sooner here.
    found = prediction_files.read(folder, spec)
    source = _source(arguments, spec, policy)
    judged = evaluation.Judged(
        evaluator=f'panpipe {importlib.metadata.version("panpipe")}',
        format=spec.format,
        dataset=spec.name,
        split=arguments.split,
        miou_of='semantic' if found.has_semantic else 'panoptic',
    )
    with lock.held(lock.beside(output), 'evaluate'):
        counted = execution.run(
            lambda root: build(root, source, counting.Judgement(folder, spec, output, judged, policy)),
            beam_options,
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
        raise errors.InputError(f'--dataset is missing: {given} does not name its data set; name it')
    return found


def _source(
    arguments: argparse.Namespace, spec: datasets.DatasetSpec, policy: failures.Policy
) -> beam.PTransform:
    """Finds the images of a raw data set, or the records that patterns match, and makes what reads them.

    Raises:
      errors.InputError: there is nothing.
    """
    given = arguments.ground_truth
    if not _is_raw(given):
        return reading.ReadRecordTruths(lookup.find_files(addresses.listed(given), '--ground_truth'), policy)
    found = sources.module(spec).list_images(addresses.absolute(given), arguments.split, spec)
    listing.tell('evaluate', arguments.split, found, is_strict=arguments.strict)
    return reading.ReadRawTruths(tuple(found), policy)


def build(root: beam.Pipeline, source: beam.PTransform, judgement: counting.Judgement) -> None:
    """Lays out the pipeline: the ground truth that `source` reads against the predictions."""
    truths = root | 'ReadTruths' >> source
    judged = truths.results | counting.JudgeImages(judgement)
    letters = (truths.letters, judged.letters) | failures.JoinLetters()
    counts = judged.results | 'JoinCounts' >> beam.CombineGlobally(counting.Join(judgement.spec.labels))
    _ = (counts, letters) | counting.WriteFigures(judgement)


if __name__ == '__main__':
    sys.exit(main())
