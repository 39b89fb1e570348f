# SPDX-License-Identifier: Apache-2.0
"""The predict job: a SavedModel and images to the files that official evaluators take.

It writes OUTPUT/panoptic.json with OUTPUT/panoptic/*.png (COCO panoptic form, official class ids). For
Cityscapes it adds OUTPUT/semantic/*.png (label ids) and OUTPUT/instance/*.txt with masks, for all others
OUTPUT/instances.json (COCO results). A semantic-only model makes OUTPUT/semantic alone.
A run that was interrupted goes on where it stopped, from OUTPUT.partial.
"""

import argparse
import collections
import concurrent.futures
import contextlib
import functools
import importlib.metadata
import json
import os
import shutil
import sys
import threading
from collections.abc import Iterator, Sequence

import apache_beam as beam
from apache_beam.ml.inference import base

from panpipe.model import datasets, errors, image_files
from panpipe.model.inputs import records
from panpipe.model.jobs import command_line, outputs, progress
from panpipe.pipelines import execution
from panpipe.pipelines.formats import maps as formats_maps
from panpipe.pipelines.formats import registry
from panpipe.pipelines.predictions import archives, photos, resumption, saved_model
from panpipe.pipelines.sources import listing

_SECONDS_BETWEEN_LOOKS = 0.5
# Images that are predicted and not written yet: 16 MB each, of Cityscapes.
_MOST_WAITING = 4
_EXAMPLES = (
    "panpipe predict --saved_model exported --input 'records/val*' --output predictions",
    'panpipe predict --saved_model exported --input photos --format coco --output predictions',
    'panpipe predict --saved_model exported --input cityscapes --split test --output predictions --zip',
)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the job and returns its exit status. Unknown options go to Beam."""
    parser = command_line.parser('predict', __doc__ or '', _EXAMPLES)
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
    parser.add_argument(
        '--zip',
        action='store_true',
        help='add OUTPUT/archives/*.zip as the test servers take them; the names of COCO archives say the '
        '--split, without one "test"',
    )
    parser.add_argument(
        '--algorithm', default='panpipe', help='name in the names of COCO archives (default: %(default)s)'
    )
    command_line.add_raw_data(parser)
    arguments, beam_arguments = parser.parse_known_args(argv)
    return command_line.run('predict', functools.partial(_run, arguments, beam_arguments))


def _run(arguments: argparse.Namespace, beam_arguments: Sequence[str]) -> None:
    beam_options = execution.options(beam_arguments)
    split = arguments.split or 'test'
    if arguments.zip:
        archives.check(split, arguments.algorithm)
    spec = saved_model.dataset(arguments.saved_model)
    name = _format(arguments.format, spec)
    output = os.path.abspath(arguments.output)
    if os.path.exists(output):
        raise errors.InputError(f'--output {output} exists; remove it or choose another folder')
    outputs.check_folder('--output', output)
    image_files.allow(arguments.max_megapixels)
    source, total, stamp = _source(arguments, spec)
    unfinished = resumption.Unfinished.open(output, _job(arguments, name, stamp))
    has_instances = saved_model.facts(arguments.saved_model)['has_instances']
    form = registry.FORMATS[name]
    for inner in form.FOLDERS if has_instances else form.PIXELS:
        os.makedirs(os.path.join(unfinished.folder, inner), exist_ok=True)
    with _watched(unfinished.done, total):
        handler = saved_model.Handler(
            arguments.saved_model, is_shared=not execution.is_one_process(beam_options)
        )
        writer = WriteImages(unfinished, name, spec)
        try:
            execution.run(lambda root: build(root, source, handler, writer, unfinished), beam_options)
        finally:
            saved_model.release()
    unfinished.drop_parts()
    for file_name, content in form.documents(unfinished.notes(), spec).items():
        outputs.write_whole(os.path.join(unfinished.folder, file_name), json.dumps(content).encode())
    # What an interrupted run left of them may be cut short, or not be wanted any more.
    shutil.rmtree(os.path.join(unfinished.folder, archives.FOLDER), ignore_errors=True)
    if arguments.zip:
        archives.write(unfinished.folder, name, split, arguments.algorithm)
    unfinished.finish(output)
    told = '' if has_instances else ' (semantic-only: the model has no instances)'
    print(f'panpipe predict: wrote {total} predictions to {output}{told}')


class WriteImages(beam.DoFn):
    """Writes the files of images in a thread of its own, while the model looks at the next ones.

    Compression and file systems leave the interpreter to others.
    """

    def __init__(
        self, unfinished: resumption.Unfinished, format_name: str, spec: datasets.DatasetSpec
    ) -> None:
        """Takes the folder, the name of its format, and the data set."""
        self._unfinished, self._format_name, self._spec = unfinished, format_name, spec

    def start_bundle(self) -> None:
        """Opens the thread."""
        self._thread = concurrent.futures.ThreadPoolExecutor(1)
        self._pending = collections.deque[concurrent.futures.Future[None]]()

    def process(self, maps: formats_maps.Maps) -> None:
        """Hands one image over; waits where too many wait already."""
        if len(self._pending) >= _MOST_WAITING:
            self._pending.popleft().result()
        self._pending.append(self._thread.submit(self._write, maps))

    def finish_bundle(self) -> None:
        """Waits until all files are there."""
        with self._thread:
            for written in self._pending:
                written.result()

    def _write(self, maps: formats_maps.Maps) -> None:
        form = registry.FORMATS[self._format_name]
        self._unfinished.note(form.write(self._unfinished.folder, maps, self._spec))


def build(
    root: beam.Pipeline,
    source: beam.PTransform,
    handler: saved_model.Handler,
    writer: WriteImages,
    unfinished: resumption.Unfinished,
) -> None:
    """Lays out the pipeline: images of `source` that are not done, through the model into files."""
    images = root | 'ReadImages' >> source
    _ = (
        images
        | 'LeaveOutDone' >> beam.Filter(lambda image: unfinished.lacks(image.name))
        | 'Predict' >> base.RunInference(handler)
        | 'WriteImages' >> beam.ParDo(writer)
    )
    _ = (
        images
        | 'Names' >> beam.Map(lambda image: image.name)
        | 'CollectNames' >> beam.combiners.ToList()
        | 'RefuseTwins' >> beam.Map(refuse_twins)
    )


def refuse_twins(names: Sequence[str]) -> None:
    """Refuses names that would write the same files.

    Raises:
      errors.InputError: two images have the same name.
    """
    twins = sorted(name for name, count in collections.Counter(names).items() if count > 1)
    if twins:
        raise errors.InputError(f'several images of --input are named {twins[0]}; give each image once')


def read_record(serialized: bytes) -> saved_model.Image:
    """Takes the image out of a record."""
    record = records.parse(serialized)
    photos.check_name(record.image_id)
    return saved_model.Image(record.image_id, record.encoded, record.official_id)


def _job(arguments: argparse.Namespace, format_name: str, stamp: str) -> dict[str, str]:
    """States what a run must share with an interrupted one to go on with it."""
    return {
        'saved_model': resumption.fingerprint(arguments.saved_model),
        'format': format_name,
        'input': ','.join(os.path.abspath(part.strip()) for part in arguments.input.split(',')),
        'files': stamp,
        'split': arguments.split or '',
        'version': importlib.metadata.version('panpipe'),
    }


def _format(wanted: str | None, spec: datasets.DatasetSpec) -> str:
    fitting = registry.of(spec)
    if wanted not in (None, fitting):
        raise errors.InputError(
            f'--format {wanted} does not fit: the model was trained on {spec.name}; give --format {fitting}'
        )
    return fitting


def _source(arguments: argparse.Namespace, spec: datasets.DatasetSpec) -> tuple[beam.PTransform, int, str]:
    """Returns what yields the images, their number, and a stamp of their files."""
    given, split = arguments.input, arguments.split
    if split or photos.are_at(given):
        found = photos.find(given, split, spec)
        listing.tell('predict', split or given, found, is_strict=arguments.strict)
        photos.check(found, registry.FORMATS[registry.of(spec)])
        load = 'Names' >> beam.Create(found, reshuffle=True) | 'Load' >> beam.Map(photos.load)
        return load, len(found), resumption.stamp(photos.facts(found))
    patterns = [pattern.strip() for pattern in given.split(',')]
    files = photos.record_files(patterns)
    read = 'Names' >> beam.Create(patterns) | 'Records' >> beam.io.ReadAllFromTFRecord()
    return read | 'Images' >> beam.Map(read_record), photos.count_records(files), resumption.stamp(files)


@contextlib.contextmanager
def _watched(folder: str, total: int) -> Iterator[None]:
    """Shows progress by the number of files in a folder, whatever process writes them."""
    is_over = threading.Event()

    def look() -> None:
        shown, is_last = 0, False
        with progress.bar('predict', total) as advance:
            while not is_last:
                is_last = is_over.wait(_SECONDS_BETWEEN_LOOKS)
                number = sum(entry.name.endswith('.json') for entry in os.scandir(folder))
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
