# SPDX-License-Identifier: Apache-2.0
"""The statistics job: what is in the records, what looks odd, and what that suggests for the configuration.

It writes OUTPUT/statistics.json, and OUTPUT/transform_graph, the graph of TensorFlow Transform that holds the
same numbers; OUTPUT/findings.json: images that look alike, within splits and between them, empty ones, things
too small for an output stride, classes by split; and OUTPUT/statistics.html, a page of all that.
Advice is printed, too, each line with its cure. Name all splits, so that they are compared.
"""

import argparse
import contextlib
import dataclasses
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from typing import Any

import apache_beam as beam
import rich.console
import rich.table

from panpipe.model import datasets, errors
from panpipe.model.inputs import records
from panpipe.model.jobs import command_line, outputs, quiet
from panpipe.model.metrics import data_findings, data_statistics, result_files
from panpipe.model.storage import addresses, cache, files, lock
from panpipe.pipelines import execution
from panpipe.pipelines.record_files import lookup, oddities, summary
from panpipe.pipelines.reporting import data_page
from panpipe.pipelines.running import failures, totals

_FACTS, _GRAPH, _STAGING = 'statistics.json', 'transform_graph', '.unfinished-statistics'
_FINDINGS, _PAGE = 'findings.json', 'statistics.html'
_EXAMPLES = (
    "panpipe statistics --dataset cityscapes_panoptic --input 'records/train*' --output statistics",
    "panpipe statistics --dataset coco_panoptic --input 'a/train*,b/train*' --output statistics",
    'panpipe statistics --input records --output statistics',
)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the job; returns its exit status."""
    parser = command_line.parser('statistics', __doc__, _EXAMPLES)
    parser.add_argument(
        '--dataset',
        help=f'{", ".join(datasets.SPECS)}, or a .json description (default: that of the records)',
    )
    parser.add_argument(
        '--input', required=True, help='glob patterns of records, or folders of them, separated by commas'
    )
    parser.add_argument('--output', required=True, help='folder to write to')
    failures.add_arguments(parser)
    arguments, beam_arguments = parser.parse_known_args(argv)
    return command_line.run('statistics', lambda: _statistics(arguments, beam_arguments))


def _statistics(arguments: argparse.Namespace, beam_arguments: Sequence[str]) -> None:
    started = time.monotonic()
    options = execution.options(beam_arguments)
    policy = failures.Policy.from_arguments(arguments)
    outputs.check_folder('--output', arguments.output)
    output = addresses.absolute(arguments.output)
    paths = lookup.find_files(addresses.listed(arguments.input), '--input')
    spec = lookup.dataset(paths, arguments.dataset)
    if spec is None:
        raise errors.InputError('no manifest.json beside the records names their data set; give --dataset')
    with lock.held(lock.beside(output), 'statistics'), _staging(output) as staging:
        plan = Plan(paths, spec, staging, output, policy)
        counted = execution.run(lambda root: build(root, plan), options)
    if execution.is_template(options):
        print('panpipe statistics: wrote the template')
        return
    path = addresses.join(output, _FACTS)
    facts = result_files.read_typed(data_statistics.Statistics, path, 'statistics')
    _show(facts)
    _advise(output, facts)
    totals.show('statistics', counted, time.monotonic() - started)


def _advise(output: str, facts: data_statistics.Statistics) -> None:
    """Prints advice, and writes the page."""
    path = addresses.join(output, _FINDINGS)
    found = result_files.read_typed(data_findings.Findings, path, 'statistics')
    for line in data_findings.advice(found):
        print(f'advice: {line}')
    page = addresses.join(output, _PAGE)
    files.write_whole(page, data_page.render(facts, found).encode())
    print(f'panpipe statistics: wrote {page}')


@contextlib.contextmanager
def _staging(output: str) -> Iterator[str]:
    """Yields a folder for TensorFlow Transform, which workers must reach and TensorFlow must write.

    It lies in the output, for renaming works within one storage; but TensorFlow finds no graph in a folder
    whose name it takes for a pattern, and does not write where only fsspec does.
    """
    if cache.is_tensorflow(output) and not addresses.is_pattern(output):
        is_new = not files.exists(output)
        staging = addresses.join(output, _STAGING)
        files.delete([staging])  # of a run that was killed
        try:
            yield staging
        except BaseException:
            files.delete([staging, *([output] if is_new else [])])
            raise
        files.delete([staging])
        return
    with tempfile.TemporaryDirectory(prefix='panpipe-') as staging:
        yield staging


@dataclasses.dataclass(frozen=True)
class Plan:
    """States what is counted, and where the figures go.

    Attributes:
      paths: addresses of the files of records.
      spec: the data set.
      staging: address of a folder for files on the way.
      output: address of the folder of the figures.
      policy: of records that cannot be read.
    """

    paths: Sequence[str]
    spec: datasets.DatasetSpec
    staging: str
    output: str
    policy: failures.Policy

    @property
    def graph(self) -> str:
        """Folder that holds the graph until it is whole."""
        return addresses.join(self.staging, _GRAPH)


def build(root: beam.Pipeline, plan: Plan) -> None:
    """Lays out the pipeline: analyzes records, looks for oddities, writes the graph and all figures."""
    with quiet.start():
        from panpipe.pipelines.record_files import analysis

        quiet.find_devices()

    read = root | lookup.ReadRecords(plan.paths, plan.policy)
    checked = read.results | CheckRecords(plan.policy)
    scratch = addresses.join(plan.staging, 'scratch')
    graph = checked.results | analysis.AnalyzeRecords(plan.spec.labels, plan.graph, scratch)
    letters = (read.letters, checked.letters) | failures.JoinLetters()
    found = root | oddities.FindOddities(plan.paths, plan.spec)
    _ = (graph, found, letters) | WriteStatistics(plan)


@dataclasses.dataclass(eq=False)
class CheckRecords(execution.Step):
    """Passes on records whose features can be read; the analysis checks their labels.

    Attributes:
      policy: of the others.
    """

    policy: failures.Policy

    def expand(self, serialized: beam.PCollection) -> Any:
        """Returns an `Outcome`: records, and dead letters."""
        attempt = failures.Try(self.policy, _checked, failures.record_size)
        return serialized | 'CheckRecord' >> failures.TryEach(attempt, bytes)


@dataclasses.dataclass(eq=False)
class WriteStatistics(execution.Step):
    """Writes the graph, the figures that it holds, and the findings into the output.

    Attributes:
      plan: names the places.
    """

    plan: Plan

    def expand(self, done: Any) -> beam.PCollection:
        """Takes the element that follows the written graph, the findings, and dead letters."""
        written, found, letters = done
        sides = beam.pvalue.AsSingleton(found), beam.pvalue.AsList(letters)
        return written | 'Write' >> beam.Map(_finish, self.plan, *sides)


def _checked(serialized: bytes) -> Iterator[bytes]:
    records.image_id(serialized)
    execution.count(images=1, bytes=len(serialized))
    yield serialized


def _finish(
    written: object, plan: Plan, odd: data_findings.Findings, letters: Sequence[failures.DeadLetter]
) -> None:
    """Reads the graph's values, and puts it, what they say and the findings into the output. On a worker."""
    del written
    from panpipe.pipelines.record_files import label_counts

    plan.policy.settle(plan.output, letters)
    found = summary.summarize(label_counts.values(plan.graph), plan.spec)
    place = addresses.join(plan.output, _GRAPH)
    files.delete([place])
    files.move_tree(plan.graph, place)
    result_files.write_typed(addresses.join(plan.output, _FINDINGS), odd)
    result_files.write_typed(addresses.join(plan.output, _FACTS), found)


def _show(found: data_statistics.Statistics) -> None:
    console = rich.console.Console(markup=False)
    table = rich.table.Table(title=f'{found.dataset}: {found.images} images')
    for column in ('class', 'share %', 'images', 'instances', 'crowds', 'weight'):
        table.add_column(column, justify='left' if column == 'class' else 'right')
    for one in found.classes:
        if one.pixels:
            counts = (str(number) if one.is_thing else '' for number in (one.instances, one.crowds))
            share, weight = f'{100 * one.share:.2f}', f'{one.weight:.3g}'
            table.add_row(one.name, share, str(one.images), *counts, weight)
    console.print(table)
    for side, extent in {'height': found.height, 'width': found.width}.items():
        console.print(f'{side}: {extent.min} to {extent.max}, mean {extent.mean:.1f}')
    console.print(f'crop_size that holds every image: {found.crop_size[0]} x {found.crop_size[1]}')
    console.print(f'void: {100 * found.void_share:.2f} % of the pixels')
    per_image, area = found.instances.per_image, found.instances.area
    console.print(f'instances an image: mean {per_image.mean:.1f}, at most {per_image.max}')
    if found.crowd_segments and not found.instances.total:
        console.print('semantic-only: train a network with instance { enable: false }')
    if area:
        quantiles = ', '.join(f'{name}: {value:.0f}' for name, value in area.quantiles.items())
        console.print(f'pixels of an instance: {area.min} to {area.max}; quantiles {quantiles}')


if __name__ == '__main__':
    sys.exit(main())
