# SPDX-License-Identifier: Apache-2.0
"""`panpipe convert`: turns a raw data set into TFRecord files."""

import argparse
import functools
import sys
from collections.abc import Sequence

import apache_beam as beam
import rich.console
import rich.table

from panpipe.model import datasets, errors, image_files
from panpipe.model.inputs import records
from panpipe.model.jobs import command_line, outputs
from panpipe.pipelines import execution, sources
from panpipe.pipelines.record_files import shards
from panpipe.pipelines.sources import listing

_DEFAULT_SPLITS = 'train,val'
# As DeepLab2's own converters.
_DEFAULT_SHARDS = {'cityscapes': 10}
_OTHER_SHARDS = 1000


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the job: exit status 0 done, 2 for a user's mistake."""
    parser = command_line.parser(
        'convert',
        """
        Reads images and panoptic annotations as downloaded and writes them as TFRecord files
        SPLIT-00000-of-00010.tfrecord, with a manifest.json. Further options are Apache Beam's:
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
    parser.add_argument('--splits', default=_DEFAULT_SPLITS, help='comma-separated; %(default)s unless told')
    parser.add_argument('--num_shards', type=int, help='files a split; 10 for Cityscapes, else up to 1000')
    parser.add_argument(
        '--label_format',
        choices=records.LABEL_FORMATS,
        default='zlib',
        help='zlib: compressed, small; raw: as DeepLab2 reads and writes',
    )
    parser.add_argument(
        '--treat_crowd_as_ignore',
        action='store_true',
        help='store groups of things as void, as DeepLab2 does',
    )
    parser.add_argument(
        '--semantic_only',
        action='store_true',
        help='read semantic-only label maps, for networks without an instance branch',
    )
    command_line.add_raw_data(parser)
    arguments, beam_arguments = parser.parse_known_args(argv)
    return command_line.run('convert', lambda: _convert(arguments, beam_arguments))


def _convert(arguments: argparse.Namespace, beam_arguments: Sequence[str]) -> None:
    beam_options = execution.options(beam_arguments)
    image_files.allow(arguments.max_megapixels)
    outputs.check_folder('--output', arguments.output)
    spec = datasets.find(arguments.dataset)
    planned = _plan(arguments, spec)
    with shards.staged(arguments.output) as staging:
        names = shards.save_plans(staging, planned)
        execution.run(
            lambda pipeline: (
                pipeline
                | 'Name the shards' >> beam.Create(names)
                | 'Spread them over workers' >> beam.Reshuffle()
                | 'Write each aside' >> beam.Map(shards.write, staging, arguments.label_format)
            ),
            beam_options,
            functools.partial(shards.progress, staging, len(planned)),
        )
        facts = {
            'dataset': spec.name,
            'label_format': arguments.label_format,
            'has_instances': not arguments.semantic_only,
        }
        shards.publish(staging, arguments.output, planned, facts)
    _summarise(planned, spec, arguments.output)


def _plan(arguments: argparse.Namespace, spec: datasets.DatasetSpec) -> list[shards.Shard]:
    """Lists the images and deals them out, which finds most mistakes before any work is done."""
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
    source = sources.module(spec)
    planned = []
    for split in splits:
        found = source.list_images(
            arguments.input,
            split,
            spec,
            treat_crowd_as_ignore=arguments.treat_crowd_as_ignore,
            semantic_only=arguments.semantic_only,
        )
        listing.tell('convert', split, found, is_strict=arguments.strict)
        default = min(_DEFAULT_SHARDS.get(spec.layout, _OTHER_SHARDS), len(found))
        planned += shards.deal(split, found, arguments.num_shards or default)
    return planned


def _summarise(planned: Sequence[shards.Shard], spec: datasets.DatasetSpec, output: str) -> None:
    table = rich.table.Table(title=f'{spec.name} in {output}', title_justify='left')
    for column in ('split', 'images', 'official', 'files'):
        table.add_column(column, justify='left' if column == 'split' else 'right')
    for split in dict.fromkeys(shard.split for shard in planned):
        mine = [shard for shard in planned if shard.split == split]
        images = sum(len(shard.entries) for shard in mine)
        table.add_row(split, str(images), str(spec.splits[split] or '-'), str(len(mine)))
    rich.console.Console().print(table)


if __name__ == '__main__':
    sys.exit(main())
