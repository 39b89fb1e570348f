# SPDX-License-Identifier: Apache-2.0
"""The predict job: a SavedModel and images to the files that official evaluators take.

It writes OUTPUT/panoptic.json with OUTPUT/panoptic/*.png (COCO panoptic form, official class ids). For
Cityscapes it adds OUTPUT/semantic/*.png (label ids) and OUTPUT/instance/*.txt with masks, for all others
OUTPUT/instances.json (COCO results). A semantic-only model makes OUTPUT/semantic alone.
To resume an interrupted run, which left OUTPUT.partial, give the same command again.
"""

import argparse
import contextlib
import dataclasses
import functools
import importlib.metadata
import json
import sys
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import apache_beam as beam
from apache_beam.ml.inference import base
from apache_beam.options import pipeline_options

from panpipe.model import datasets, errors, image_files
from panpipe.model.jobs import command_line, outputs, progress
from panpipe.model.storage import addresses, exported, lock, reach
from panpipe.pipelines import execution
from panpipe.pipelines.formats import registry
from panpipe.pipelines.predictions import archives, notes, photos, resumption, saved_model, writing
from panpipe.pipelines.running import failures, totals

_SECONDS_BETWEEN_LOOKS, _SECONDS_BETWEEN_LOOKS_REMOTE = 0.5, 3.0  # an object store takes money for each
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
        help="form of the output (default: that of the model's data set, the only one that fits)",
    )
    parser.add_argument('--output', required=True, help='folder to make; must not exist')
    parser.add_argument(
        '--zip',
        action='store_true',
        help='also write OUTPUT/archives/*.zip for the test servers; the names of COCO archives contain the '
        '--split (without one: test)',
    )
    parser.add_argument(
        '--algorithm',
        default='panpipe',
        help='name of the method in the names of COCO archives (default: %(default)s)',
    )
    command_line.add_raw_data(parser)
    failures.add_arguments(parser)
    arguments, beam_arguments = parser.parse_known_args(argv)
    return command_line.run('predict', functools.partial(_run, arguments, beam_arguments))


def _run(arguments: argparse.Namespace, beam_arguments: Sequence[str]) -> None:
    started = time.monotonic()
    beam_options = execution.options(beam_arguments)
    policy = failures.Policy.from_arguments(arguments)
    split = arguments.split or 'test'
    if arguments.zip:
        archives.check(split, arguments.algorithm)
    model, output = (addresses.absolute(place) for place in (arguments.saved_model, arguments.output))
    for option, place in (
        ('--saved_model', model),
        *(('--input', p) for p in addresses.listed(arguments.input)),
    ):
        reach.check(option, place)
    outputs.check_folder('--output', output)
    image_files.allow(arguments.max_megapixels)
    spec = saved_model.dataset(model)
    name = _format(arguments.format, spec)
    given = ','.join(map(addresses.absolute, addresses.listed(arguments.input)))
    images = photos.find(given, arguments.split, spec)
    images.tell(arguments.split or given, spec, is_strict=arguments.strict)
    total = images.total
    with lock.held(lock.beside(output), 'predict'):
        unfinished = resumption.Unfinished.open(output, _job(arguments, model, given, name, images))
        plan = writing.Plan(
            unfinished, name, spec, policy, (split, arguments.algorithm) if arguments.zip else None
        )
        counted = _predict(images, model, plan, beam_options)
    if execution.is_template(beam_options):
        print('panpipe predict: wrote the template')
        return
    has_instances = exported.read(model).has_instances
    told = '' if has_instances else ' (semantic-only: the model has no instances)'
    print(f'panpipe predict: wrote {total - counted.get("skipped", 0)} predictions to {output}{told}')
    totals.show('predict', counted, time.monotonic() - started)


def _predict(
    images: photos.Photos,
    model: str,
    plan: writing.Plan,
    beam_options: pipeline_options.PipelineOptions,
) -> Mapping[str, int]:
    """Runs the pipeline for the images that are not done, and returns what workers counted."""
    is_shared = not execution.is_one_process(beam_options)
    handler = saved_model.Handler(model, plan.policy, is_shared=is_shared)
    noted = plan.unfinished.notes
    try:
        return execution.run(
            lambda root: build(root, images, notes.names(noted), handler, plan),
            beam_options,
            lambda _: _watched(noted, images.total),
        )
    finally:
        saved_model.release()


def build(
    root: beam.Pipeline,
    images: photos.Photos,
    done: frozenset[str],
    handler: saved_model.Handler,
    plan: writing.Plan,
) -> None:
    """Lays out the pipeline: images that are not done, through the model into files, then all are joined."""
    loaded = root | 'LoadImages' >> images.read(done, plan.policy)
    _ = loaded.listed | RefuseTwins(plan.format_name)
    predicted = loaded.images | Predict(handler)
    written = predicted.results | writing.WriteImages(plan)
    letters = (loaded.letters, predicted.letters) | failures.JoinLetters()
    _ = (loaded.listed, letters, written) | writing.FinishFolder(plan)


@dataclasses.dataclass(eq=False)
class Predict(execution.Step):
    """Lets the model predict images.

    Attributes:
      handler: loads and calls the model.
    """

    handler: saved_model.Handler

    def expand(self, images: beam.PCollection) -> Any:
        """Returns an `Outcome`: predicted maps, and dead letters."""
        predicted = images | 'Infer' >> base.RunInference(self.handler)
        return predicted | failures.SortLetters()


@dataclasses.dataclass(eq=False)
class RefuseTwins(execution.Step):
    """Refuses images whose files or whose ids would be the same.

    Attributes:
      format_name: of the files.
    """

    format_name: str

    def expand(self, listed: beam.PCollection) -> beam.PCollection:
        """Counts names, and groups names by the ids that evaluators go by."""
        counted = listed | 'TakeNames' >> beam.Map(_name) | beam.combiners.Count.PerElement()
        grouped = listed | 'TakeIds' >> beam.Map(_with_id, self.format_name) | beam.GroupByKey()
        twins = counted | 'RefuseTwins' >> beam.Map(refuse_twins)
        same = grouped | 'RefuseSameIds' >> beam.Map(refuse_same_ids)
        return (twins, same) | beam.Flatten()


def _name(image: saved_model.Image) -> str:
    return image.name


def refuse_twins(counted: tuple[str, int]) -> None:
    """Refuses a name that would write the same files twice.

    Raises:
      errors.InputError: several images have it.
    """
    if counted[1] > 1:
        raise errors.InputError(f'several images of --input are named {counted[0]}; give each image once')


def refuse_same_ids(named: tuple[str, Iterable[str]]) -> None:
    """Refuses an id that evaluators would take for several images, such as 1 of `1` and `01`.

    Raises:
      errors.InputError: images of different names have it.
    """
    number, names = named[0], sorted(set(named[1]))
    if len(names) > 1:
        raise errors.InputError(
            f'{names[0]} and {names[1]} would both be called {json.loads(number)} in panoptic.json; convert '
            'the data again, so that records carry the ids of the annotation file, or rename one'
        )


def _with_id(image: saved_model.Image, format_name: str) -> tuple[str, str]:
    """Returns the id that evaluators go by, as JSON because keys must be of one type, and the name."""
    called = registry.FORMATS[format_name].image_id(image.name)
    return json.dumps(called if image.official_id is None else image.official_id), image.name


def _job(
    arguments: argparse.Namespace, model: str, given: str, format_name: str, images: photos.Photos
) -> dict[str, str]:
    """Describes the job: a run resumes only what an interrupted run of the same job left."""
    return {
        'saved_model': resumption.fingerprint(model),
        'format': format_name,
        'input': given,
        'files': resumption.stamp(images.facts()),
        'split': arguments.split or '',
        'version': importlib.metadata.version('panpipe'),
    }


def _format(wanted: str | None, spec: datasets.DatasetSpec) -> str:
    fitting = spec.format
    if wanted not in (None, fitting):
        raise errors.InputError(
            f'--format {wanted} does not fit: the model was trained on {spec.name}; give --format {fitting}'
        )
    return fitting


@contextlib.contextmanager
def _watched(folder: str, total: int) -> Iterator[None]:
    """Shows progress by the number of files in a folder, whatever process writes them."""
    is_over, is_whole = threading.Event(), threading.Event()
    pause = _SECONDS_BETWEEN_LOOKS_REMOTE if addresses.is_remote(folder) else _SECONDS_BETWEEN_LOOKS

    def look() -> None:
        shown, is_last = 0, False
        with progress.bar('predict', total) as advance:
            while not is_last:
                is_last = is_over.wait(pause)
                # At the end the notes are gone, and nothing is left to do.
                number = total if is_whole.is_set() else notes.count(folder)
                if number > shown:
                    advance(number, '')
                    shown = number

    watcher = threading.Thread(target=look, daemon=True)
    watcher.start()
    try:
        yield
        is_whole.set()
    finally:
        is_over.set()
        watcher.join()


if __name__ == '__main__':
    sys.exit(main())
