# SPDX-License-Identifier: Apache-2.0
"""`panpipe convert`: turns a raw data set into TFRecord files."""

import argparse
import functools
import gc
import importlib.metadata
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import apache_beam as beam
import rich.console
import rich.table
from apache_beam.options import pipeline_options

from panpipe.model import datasets, errors, image_files
from panpipe.model.inputs import records
from panpipe.model.jobs import command_line, outputs
from panpipe.model.storage import addresses, lock, manifest, reach
from panpipe.pipelines import execution, sources
from panpipe.pipelines.record_files import plans, publishing, shards
from panpipe.pipelines.running import failures, totals
from panpipe.pipelines.sources import listing

_DEFAULT_SPLITS = 'train,val'


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the job: exit status 0 done, 2 for a user's mistake."""
    arguments, beam_arguments = _parser().parse_known_args(argv)
    return command_line.run('convert', lambda: _convert(arguments, beam_arguments))


def _parser() -> argparse.ArgumentParser:
    parser = command_line.parser(
        'convert',
        """
        Reads images and panoptic annotations as downloaded and writes them as TFRecord files
        SPLIT-00000-of-00010.tfrecord, with a manifest.json. To resume an interrupted conversion, run the same
        command again. Further options are Apache Beam's:
        --direct_running_mode=multi_processing --direct_num_workers=4 uses four cores, --runner=DataflowRunner
        and its options a cluster.
        """,
        (
            'panpipe convert --dataset cityscapes_panoptic --input cityscapes --output records',
            'panpipe convert --dataset coco_panoptic --input coco --output gs://bucket/coco --splits val',
            'panpipe convert --dataset my_data.json --input raw --output records --num_shards 4',
            'panpipe convert --dataset cityscapes_panoptic --input raw --output records --semantic_only',
        ),
    )
    parser.add_argument(
        '--dataset', required=True, help='name of a data set, or the .json description of one'
    )
    parser.add_argument('--input', required=True, help='root folder of the raw data set')
    parser.add_argument('--output', required=True, help='folder of the TFRecord files')
    parser.add_argument(
        '--splits',
        default=_DEFAULT_SPLITS,
        help='splits to convert, separated by commas (default: %(default)s)',
    )
    parser.add_argument(
        '--num_shards',
        type=int,
        help='number of files a split (default: one for each 128 MB of images, at least 10)',
    )
    _add_label_options(parser)
    command_line.add_raw_data(parser)
    failures.add_arguments(parser)
    return parser


def _add_label_options(parser: argparse.ArgumentParser) -> None:
    """Adds what decides how labels are read and stored."""
    parser.add_argument(
        '--label_format',
        choices=records.LABEL_FORMATS,
        default='zlib',
        help='how labels are stored: zlib (compressed), or raw (as DeepLab2 reads them); default: zlib',
    )
    parser.add_argument(
        '--treat_crowd_as_ignore',
        action='store_true',
        help='store crowds (groups of things) as void, as DeepLab2 does',
    )
    parser.add_argument(
        '--semantic_only',
        action='store_true',
        help='read semantic-only label maps, for networks without an instance branch',
    )


def _convert(arguments: argparse.Namespace, beam_arguments: Sequence[str]) -> None:
    started = time.monotonic()
    beam_options = execution.options(beam_arguments)
    image_files.allow(arguments.max_megapixels)
    policy = failures.Policy.from_arguments(arguments)
    spec = datasets.find(arguments.dataset)
    splits = _splits(arguments, spec)
    outputs.check_folder('--output', arguments.output)
    reach.check('--input', arguments.input)
    arguments.input, output = addresses.absolute(arguments.input), addresses.absolute(arguments.output)
    _refuse_others(output, spec, splits)
    with _without_collection():
        plan, planned = _plan(arguments, spec, splits)
    with lock.held(lock.within(output), 'convert'):
        plan.save(plan.staging(output), planned)
        del planned
        counted = _write(plan, output, policy, beam_options)
    if execution.is_template(beam_options):
        return
    _summarise(plan, spec, output)
    totals.show('convert', counted, time.monotonic() - started)
    _tell_of_letters(output, counted)


def _write(
    plan: plans.Plan, output: str, policy: failures.Policy, beam_options: pipeline_options.PipelineOptions
) -> Mapping[str, int]:
    """Runs the pipeline for the shards that are not finished, and returns what workers counted."""
    staging = plan.staging(output)
    left = [name for name in plan.names if shards.finished(staging, output, name) is None]
    if len(left) < len(plan.names):
        done = len(plan.names) - len(left)
        print(
            f'panpipe convert: {done} of {len(plan.names)} files are done already, in {staging}',
            file=sys.stderr,
        )
    counted = execution.run(
        lambda root: build(root, left, staging, output, plan, policy),
        beam_options,
        functools.partial(publishing.progress, staging, len(plan.names)),
    )
    if execution.is_template(beam_options):
        print(f'panpipe convert: wrote the template; it works on the plan in {staging}')
    return counted


def build(
    root: beam.Pipeline,
    names: Sequence[str],
    staging: str,
    output: str,
    plan: plans.Plan,
    policy: failures.Policy,
) -> None:
    """Lays out the pipeline: shards that are not finished are written aside, then all are published."""
    _ = (
        root
        | 'NameShards' >> beam.Create(names, reshuffle=False)
        | shards.WriteShards(staging, plan.label_format, policy)
        | publishing.PublishShards(staging, output, plan.digest, policy)
    )


def _splits(arguments: argparse.Namespace, spec: datasets.DatasetSpec) -> list[str]:
    if arguments.num_shards is not None and arguments.num_shards < 1:
        raise errors.InputError(f'--num_shards is {arguments.num_shards}; it must be at least 1')
    if arguments.semantic_only and arguments.treat_crowd_as_ignore:
        raise errors.InputError(
            '--semantic_only and --treat_crowd_as_ignore exclude each other: without instances all things '
            'would be ignored; leave one out'
        )
    splits = [split for split in arguments.splits.split(',') if split]
    wrong = [split for split in splits if split not in spec.splits]
    if wrong or not splits or len(set(splits)) < len(splits):
        raise errors.InputError(
            f'--splits is {arguments.splits!r}; it must name some of {", ".join(spec.splits)}, each once'
        )
    return splits


def _plan(
    arguments: argparse.Namespace, spec: datasets.DatasetSpec, splits: Sequence[str]
) -> tuple[plans.Plan, list[plans.Shard]]:
    """Lists the images and deals them out, which finds most mistakes before any work is done."""
    source = sources.module(spec)
    planned, inputs = [], {}
    for split in splits:
        found = source.list_images(
            arguments.input,
            split,
            spec,
            treat_crowd_as_ignore=arguments.treat_crowd_as_ignore,
            semantic_only=arguments.semantic_only,
        )
        listing.tell('convert', split, found, is_strict=arguments.strict)
        read = plans.Inputs()
        for told in plans.facts(found):
            read.add(told)
        inputs[split] = read.digest()
        number = arguments.num_shards or plans.shard_count(len(found), read.size)
        planned += plans.deal(split, found, number)
    names: Mapping[str, tuple[str, ...]] = {
        split: tuple(shard.name for shard in planned if shard.split == split) for split in splits
    }
    version = importlib.metadata.version('panpipe')
    options = ('label_format', 'treat_crowd_as_ignore', 'semantic_only', 'on_error')
    facts = {**{name: getattr(arguments, name) for name in options}, 'version': version, 'shards': names}
    digest = plans.digest({**facts, 'dataset': repr(spec.description), 'files': inputs})
    has_instances, kept = not arguments.semantic_only, spec.copied
    plan = plans.Plan(
        digest, kept.dataset, version, arguments.label_format, has_instances, names, kept.description
    )
    return plan, planned


def _refuse_others(output: str, spec: datasets.DatasetSpec, splits: Sequence[str]) -> None:
    """Refuses a folder of records whose other splits are of another data set."""
    try:
        told = manifest.read(output)
    except errors.InputError as error:
        print(f'panpipe convert: note: {error}; it is replaced', file=sys.stderr)
        return
    others = sorted(told.splits.keys() - set(splits)) if told else []
    if not told or not others:
        return
    kept = datasets.of_copy(told.kept)
    difference = kept.description.difference(spec.description) if kept else ''
    if difference or (kept is None and told.dataset != spec.name):
        raise errors.InputError(
            f'--output {output} holds {", ".join(others)} of {told.dataset}, which is another data set than '
            f'{spec.name}{f" ({difference})" if difference else ""}; choose another --output'
        )


@contextmanager
def _without_collection() -> Iterator[None]:
    """Keeps Python from looking through growing lists for garbage, which takes half of the time."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def _summarise(plan: plans.Plan, spec: datasets.DatasetSpec, output: str) -> None:
    written = manifest.read(output)
    table = rich.table.Table(title=f'{spec.name} in {output}', title_justify='left')
    for column in ('split', 'images', 'official', 'files'):
        table.add_column(column, justify='left' if column == 'split' else 'right')
    for split in plan.shards:
        told = written.splits[split] if written else None
        images = str(told.images) if told else '-'
        table.add_row(split, images, str(spec.splits[split] or '-'), str(len(plan.shards[split])))
    rich.console.Console(markup=False).print(table)


def _tell_of_letters(output: str, counted: Mapping[str, int]) -> None:
    if counted.get('skipped'):
        print(
            f'panpipe convert: left out {counted["skipped"]} images, see {output}{failures.ENDING}',
            file=sys.stderr,
        )
    for name in publishing.left_behind(output):
        print(
            f'panpipe convert: {name} is of an interrupted run with other options; delete it', file=sys.stderr
        )


if __name__ == '__main__':
    sys.exit(main())
