# SPDX-License-Identifier: Apache-2.0
"""The predict job: a SavedModel and images to the files that official evaluators take.

It writes OUTPUT/panoptic.json with OUTPUT/panoptic/*.png (COCO panoptic form, official class ids) and, for
Cityscapes, OUTPUT/semantic/*.png (label ids).
"""

import argparse
import collections
import contextlib
import functools
import json
import os
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import apache_beam as beam
from apache_beam.ml.inference import base

from panpipe.model import datasets, errors, jobs, progress
from panpipe.model.inputs import records
from panpipe.pipelines import execution, inference, photos
from panpipe.pipelines.formats import registry, segments

_DOCUMENT = 'panoptic.json'
_SECONDS_BETWEEN_LOOKS = 0.5
_EXAMPLES = (
    "panpipe predict --saved_model exported --input 'records/val*' --output predictions",
    'panpipe predict --saved_model exported --input photos --format coco --output predictions',
    'panpipe predict --saved_model exported --input cityscapes --split val --output predictions',
)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the job and returns its exit status. Unknown options go to Beam."""
    parser = jobs.parser('predict', __doc__ or '', _EXAMPLES)
    parser.add_argument('--saved_model', required=True, help='folder that `panpipe export` wrote')
    parser.add_argument(
        '--input',
        required=True,
        help='glob patterns of records separated by commas, an image, a folder of images, '
        'or with --split the root of a raw data set',
    )
    parser.add_argument('--split', help='split of the raw data set, for example val')
    parser.add_argument(
        '--format',
        choices=registry.FORMATS,
        help="default: that of the model's data set, the only one it fits",
    )
    parser.add_argument('--output', required=True, help='folder to make; must not exist')
    arguments, beam_arguments = parser.parse_known_args(argv)
    return jobs.run('predict', functools.partial(_run, arguments, beam_arguments))


def _run(arguments: argparse.Namespace, beam_arguments: Sequence[str]) -> None:
    beam_options = execution.options(beam_arguments)
    spec = inference.dataset(arguments.saved_model)
    name = _format(arguments.format, spec)
    output = os.path.abspath(arguments.output)
    if os.path.exists(output):
        raise errors.InputError(f'--output {output} exists; remove it or choose another folder')
    source, total = _source(arguments.input, arguments.split, spec)
    os.makedirs(os.path.dirname(output), exist_ok=True)
    with tempfile.TemporaryDirectory(dir=os.path.dirname(output), prefix='.predictions-') as aside:
        folder = os.path.join(aside, 'whole')
        for inner in registry.FORMATS[name].FOLDERS:
            os.makedirs(os.path.join(folder, inner))
        with _watched(os.path.join(folder, 'panoptic'), total):
            execution.run(
                lambda root: build(root, source, arguments.saved_model, name, spec, folder),
                beam_options,
            )
        os.rename(folder, output)
    print(f'panpipe predict: wrote {total} predictions to {output}')


def build(
    root: beam.Pipeline,
    source: beam.PTransform,
    saved_model: str,
    format_name: str,
    spec: datasets.DatasetSpec,
    folder: str,
) -> None:
    """Lays out the pipeline: images of `source` through the model into files of `folder`."""
    _ = (
        root
        | 'ReadImages' >> source
        | 'Predict' >> base.RunInference(inference.Handler(saved_model))
        | 'WriteImages' >> beam.Map(write_maps, folder, format_name, spec)
        | 'CollectAnnotations' >> beam.combiners.ToList()
        | 'WriteDocument' >> beam.Map(write_document, folder, spec)
    )


def write_maps(
    maps: inference.Maps, folder: str, format_name: str, spec: datasets.DatasetSpec
) -> dict[str, Any]:
    """Writes the files of one image and returns its annotation."""
    written: dict[str, Any] = registry.FORMATS[format_name].write(
        folder, maps.name, maps.panoptic, maps.semantic, spec
    )
    return written


def write_document(annotations: Sequence[Mapping[str, Any]], folder: str, spec: datasets.DatasetSpec) -> None:
    """Writes the JSON file over all images.

    Raises:
      errors.InputError: two images have the same name.
    """
    counts = collections.Counter(entry['file_name'] for entry in annotations)
    twins = sorted(name for name, count in counts.items() if count > 1)
    if twins:
        raise errors.InputError(f'several images of --input make a {twins[0]}; give each image once')
    with open(os.path.join(folder, _DOCUMENT), 'w') as file:
        json.dump(segments.document(annotations, spec), file)


def read_record(serialized: bytes) -> inference.Image:
    """Takes the image out of a record."""
    record = records.parse(serialized)
    return inference.Image(record.image_id, record.encoded)


def _format(wanted: str | None, spec: datasets.DatasetSpec) -> str:
    fitting = registry.of(spec)
    if wanted not in (None, fitting):
        raise errors.InputError(
            f'--format {wanted} does not fit: the model was trained on {spec.name}; give --format {fitting}'
        )
    return fitting


def _source(given: str, split: str | None, spec: datasets.DatasetSpec) -> tuple[beam.PTransform, int]:
    """Returns what yields the images, and their number."""
    if split or os.path.exists(given):
        found = photos.find(given, split, spec)
        return 'Names' >> beam.Create(found, reshuffle=True) | 'Load' >> beam.Map(photos.load), len(found)
    patterns = [pattern.strip() for pattern in given.split(',')]
    total = photos.count_records(patterns)
    read = 'Names' >> beam.Create(patterns) | 'Records' >> beam.io.ReadAllFromTFRecord()
    return read | 'Images' >> beam.Map(read_record), total


@contextlib.contextmanager
def _watched(folder: str, total: int) -> Iterator[None]:
    """Shows progress by the number of files in a folder, whatever process writes them."""
    is_over = threading.Event()

    def look() -> None:
        shown, is_last = 0, False
        with progress.bar('predict', total) as advance:
            while not is_last:
                is_last = is_over.wait(_SECONDS_BETWEEN_LOOKS)
                number = sum(entry.name.endswith('.png') for entry in os.scandir(folder))
                if number > shown:
                    advance(number, '')
                    shown = number

    watcher = threading.Thread(target=look, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        is_over.set()
        watcher.join()


if __name__ == '__main__':
    sys.exit(main())
