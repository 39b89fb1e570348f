# SPDX-License-Identifier: Apache-2.0
"""The statistics job: what is in the records, and what that suggests for the configuration.

It writes OUTPUT/statistics.json and OUTPUT/transform_graph, the graph of TensorFlow Transform that holds the
same numbers.
"""

import argparse
import contextlib
import functools
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import apache_beam as beam
import numpy as np
import rich.console
import rich.table

from panpipe.model import datasets, errors
from panpipe.model.inputs import records
from panpipe.model.jobs import command_line, outputs, quiet
from panpipe.model.metrics import data_statistics, result_files
from panpipe.model.storage import addresses, cache, files, lock
from panpipe.pipelines import execution
from panpipe.pipelines.record_files import lookup
from panpipe.pipelines.running import failures, totals

_BATCH_SIZE = 8  # records decoded at once; bounds memory
_STRIDE = 32  # the largest output stride of the networks
_QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
_FACTS, _GRAPH, _STAGING = 'statistics.json', 'transform_graph', '.unfinished-statistics'
_EXAMPLES = (
    "panpipe statistics --dataset cityscapes_panoptic --input 'records/train*' --output statistics",
    "panpipe statistics --dataset coco_panoptic --input 'a/train*,b/train*' --output statistics",
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
        counted = execution.run(lambda root: _build(root, paths, staging, output, spec, policy), options)
    if execution.is_template(options):
        print('panpipe statistics: wrote the template')
        return
    path = addresses.join(output, _FACTS)
    _show(result_files.read_typed(data_statistics.Statistics, path, 'statistics'))
    totals.show('statistics', counted, time.monotonic() - started)


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


def _build(
    root: beam.Pipeline,
    paths: Sequence[str],
    staging: str,
    output: str,
    spec: datasets.DatasetSpec,
    policy: failures.Policy,
) -> None:
    """Lays out the pipeline: records are analyzed, the graph and what it says are written."""
    with quiet.start():
        import tensorflow_transform.beam as tft_beam
        from tensorflow_transform.tf_metadata import schema_utils
        from tfx_bsl.public import tfxio

        from panpipe.pipelines.record_files import label_counts

        quiet.find_devices()

    graph = addresses.join(staging, _GRAPH)
    schema = schema_utils.schema_from_feature_spec(dict(label_counts.FEATURES))
    form = tfxio.TFExampleBeamRecord('tfrecord', ['panpipe'], schema)
    analyze = functools.partial(label_counts.analyze, codec=spec.labels)
    read, letters = root | 'ReadRecords' >> lookup.ReadRecords(paths, policy)
    sound = read | 'CheckRecords' >> failures.Try(policy, _checked, _name).split(bytes)
    batches = sound.results | 'Batch' >> form.BeamSource(batch_size=_BATCH_SIZE)
    with tft_beam.Context(temp_dir=addresses.join(staging, 'scratch')):
        transform = (batches, form.TensorAdapterConfig()) | 'Analyze' >> tft_beam.AnalyzeDataset(analyze)
        written = transform | 'WriteGraph' >> tft_beam.WriteTransformFn(graph)
    both = (letters, sound[failures.LETTERS]) | 'JoinLetters' >> beam.Flatten()
    _ = written | 'WriteFacts' >> beam.Map(_finish, graph, output, spec, policy, beam.pvalue.AsList(both))


def _checked(serialized: bytes) -> Iterator[bytes]:
    """Passes on a record whose features can be read; its label is looked at by the analysis."""
    records.image_id(serialized)
    execution.count(images=1, bytes=len(serialized))
    yield serialized


def _name(serialized: bytes) -> str:
    return f'a record of {len(serialized)} bytes'


def _finish(
    written: object,
    graph: str,
    output: str,
    spec: datasets.DatasetSpec,
    policy: failures.Policy,
    letters: Sequence[failures.DeadLetter],
) -> None:
    """Reads the graph's values, and puts it and what they say into the output. Runs on a worker."""
    del written
    from panpipe.pipelines.record_files import label_counts

    policy.settle(output, letters)
    found = summarize(label_counts.values(graph), spec)
    place = addresses.join(output, _GRAPH)
    files.delete([place])
    files.move_tree(graph, place)
    result_files.write_typed(addresses.join(output, _FACTS), found)


def summarize(values: Mapping[str, np.ndarray], spec: datasets.DatasetSpec) -> data_statistics.Statistics:
    """Turns the values of `label_counts.analyze` into the content of statistics.json.

    Raises:
      errors.InputError: there is no record, a label is damaged, or ids are none of the data set's.
    """
    pixels = values['pixels'].astype(np.int64)
    images, labelled = int(values['images'][0]), int(values['labelled'][0])
    if not images:
        raise errors.InputError('the records hold no image; check --input')
    if values['unreadable'][0]:
        raise errors.InputError(
            f'{int(values["unreadable"][0])} of {labelled} labels are damaged or hold no instances; '
            'run panpipe convert again'
        )
    if pixels[-1]:
        raise errors.InputError(
            f'{int(pixels[-1])} pixels have ids that {spec.name} does not have; check --dataset'
        )
    height, width = (_extent(values, side, images) for side in ('height', 'width'))
    return data_statistics.Statistics(
        dataset=spec.name,
        description=spec.copied.description,
        images=images,
        labelled_images=labelled,
        height=height,
        width=width,
        crop_size=(_crop(height.max), _crop(width.max)),
        void_share=_ratio(pixels[-2], pixels.sum()),
        crowd_segments=int(values['crowds'].sum()),
        instances=_instances(values, labelled),
        classes=_classes(values, spec),
    )


def class_weights(pixels: np.ndarray) -> np.ndarray:
    """Computes inverse frequencies [n], scaled to a mean of 1 over classes with pixels; 0 for the others."""
    is_present = pixels > 0
    weights = np.divide(1.0, pixels, out=np.zeros(len(pixels)), where=is_present)
    return weights / weights[is_present].mean() if is_present.any() else weights


def _extent(values: Mapping[str, np.ndarray], name: str, count: int) -> data_statistics.Extent:
    smallest, total, largest = (int(values[f'{name}_{end}'][0]) for end in ('min', 'sum', 'max'))
    return data_statistics.Extent(smallest, total / count, largest)


def _crop(side: int) -> int:
    return -(-(side - 1) // _STRIDE) * _STRIDE + 1


def _ratio(part: Any, whole: Any) -> float:
    return float(part / whole) if whole else 0.0


def _instances(values: Mapping[str, np.ndarray], labelled: int) -> data_statistics.Instances:
    total = int(values['instances'].sum())
    per_image = data_statistics.PerImage(_ratio(total, labelled), int(values['instances_max'][0]))
    return data_statistics.Instances(total, per_image, _areas(values, total) if total else None)


def _areas(values: Mapping[str, np.ndarray], total: int) -> data_statistics.Areas:
    quantiles = values['area_quantiles']
    steps = len(quantiles) + 1
    named = {f'{q:g}': float(quantiles[round(q * steps) - 1]) for q in _QUANTILES}
    one = _extent(values, 'area', total)
    return data_statistics.Areas(one.min, one.mean, one.max, named)


def _classes(
    values: Mapping[str, np.ndarray], spec: datasets.DatasetSpec
) -> tuple[data_statistics.ClassCounts, ...]:
    ids = [category.id for category in spec.categories]
    counted = values['pixels'][ids]
    weights = class_weights(counted)
    return tuple(
        data_statistics.ClassCounts(
            id=category.id,
            name=category.name,
            is_thing=category.is_thing,
            pixels=int(count),
            share=_ratio(count, values['pixels'].sum()),
            images=int(values['occurrences'][category.id]),
            instances=int(values['instances'][category.id]),
            crowds=int(values['crowds'][category.id]),
            weight=float(weight),
        )
        for category, count, weight in zip(spec.categories, counted, weights, strict=True)
    )


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
