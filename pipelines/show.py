# SPDX-License-Identifier: Apache-2.0
"""`panpipe show`: writes a picture of one sample, so that people see whether the data is right.

Of a record: the image, its panoptic label, and the targets that training makes of it. With --crops also
augmented crops, as training sees them. Of a folder that `panpipe predict` wrote: the segments with their
names and scores, over the photo if --photos names its folder; photos in records bring their ground
truth along, and then what is wrong is shown, too. With --page the same of several images, as an HTML page.
"""

import argparse
import difflib
import functools
import io
import itertools
import sys
from collections.abc import Collection, Iterable, Sequence

from PIL import Image

from panpipe.model import datasets, errors
from panpipe.model.drawing import page, sheet
from panpipe.model.inputs import records
from panpipe.model.jobs import command_line, outputs
from panpipe.model.storage import addresses, files, lock, reach
from panpipe.pipelines.formats import layout
from panpipe.pipelines.predictions import prediction_files
from panpipe.pipelines.record_files import lookup
from panpipe.pipelines.reporting import predicted_sheet, record_sheet

_EXAMPLES = (
    "panpipe show 'records/train-*' --output sample.png",
    "panpipe show 'records/train-*' --list",
    "panpipe show 'records/train-*' --image aachen_000000_000019 --config c.textproto --crops 3 "
    '--output sample.png',
    "panpipe show 'records/train-*' --page 12 --output samples.html",
    'panpipe show predictions --dataset coco_panoptic --photos val2017 --output prediction.png',
)
_ADVISED = 3


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the job and returns its exit status."""
    parser = command_line.parser('show', __doc__ or '', _EXAMPLES)
    parser.add_argument(
        'input', nargs='+', help='glob patterns of records, or a folder that panpipe predict wrote'
    )
    parser.add_argument('--image', metavar='ID', help='id of the image (default: the first)')
    wanted = parser.add_mutually_exclusive_group(required=True)
    wanted.add_argument('--output', help='.png file to write, or a page: see --page')
    wanted.add_argument('--list', action='store_true', help='print the ids of all images instead')
    parser.add_argument(
        '--page', type=int, metavar='N', help='write an HTML page of the first N images instead of one .png'
    )
    parser.add_argument('--title', help='title of the page (default: number of images and input)')
    parser.add_argument(
        '--dataset',
        help='name or .json description of the data set (default of records: that of their manifest.json)',
    )
    parser.add_argument('--config', help='experiment whose settings make the targets')
    parser.add_argument(
        '--set', action='append', default=[], metavar='FIELD=VALUE', help='overrides a field of --config'
    )
    parser.add_argument(
        '--crops',
        type=int,
        default=0,
        metavar='N',
        help='also show N augmented training crops; needs --config',
    )
    parser.add_argument('--seed', type=int, default=0, help='seed of the crops (default: 0)')
    parser.add_argument(
        '--photos', help='with predictions: folder of the image files, or glob pattern of records'
    )
    return command_line.run('show', functools.partial(_run, parser.parse_args(argv)))


def _run(arguments: argparse.Namespace) -> None:
    _check(arguments)
    for place in (*arguments.input, *filter(None, [arguments.photos])):
        reach.check('input', place)
    draw = _prediction if _is_prediction(arguments.input[0]) else _record
    drawn = draw(arguments)
    if drawn:
        title = arguments.title or f'{len(drawn)} images of {" ".join(arguments.input)}'
        content = _png(drawn[0]) if arguments.page is None else page.render(title, drawn).encode()
        with lock.held(lock.beside(arguments.output), 'show'):
            files.write_whole(arguments.output, content)
        print(f'panpipe show: wrote {arguments.output}')


def _check(arguments: argparse.Namespace) -> None:
    if arguments.page is not None and (arguments.page < 1 or arguments.image):
        raise errors.InputError(
            '--page needs a number of at least 1 and shows the first images, so no --image'
        )
    if arguments.output and arguments.page is None and not arguments.output.lower().endswith('.png'):
        raise errors.InputError(
            f'--output {arguments.output} must end in .png; for an HTML page add --page N'
        )
    if arguments.output:
        outputs.check_file('--output', arguments.output)
    if arguments.crops < 0:
        raise errors.InputError(f'--crops is {arguments.crops}; it must be at least 0')
    if arguments.crops and not arguments.config:
        raise errors.InputError('--crops needs --config, which says how samples are cropped and augmented')


def _is_prediction(given: str) -> bool:
    return files.exists(addresses.join(given, layout.DOCUMENT)) or bool(
        files.find(given, f'{layout.SEMANTIC}/*.png')
    )


def _record(arguments: argparse.Namespace) -> list[sheet.Sheet]:
    """Makes the sheets of records; prints the ids and makes none where these are asked for."""
    paths = lookup.find_files(arguments.input)
    if arguments.photos:
        raise errors.InputError('--photos is for predictions; records hold their photos')
    if arguments.list:
        _print(records.image_id(record) for record in lookup.read(paths))
        return []
    chosen = list(itertools.islice(lookup.find(paths, arguments.image), arguments.page or 1))
    if not chosen:
        known = [records.image_id(record) for record in lookup.read(paths)]
        raise _unknown(arguments.image, known, ' '.join(arguments.input))
    options = record_sheet.Options(
        lookup.dataset(paths, arguments.dataset),
        arguments.config,
        tuple(arguments.set),
        arguments.crops,
        arguments.seed,
    )
    return [record_sheet.make(serialized, options) for serialized in chosen]


def _prediction(arguments: argparse.Namespace) -> list[sheet.Sheet]:
    """Makes the sheets of predictions; prints the ids and makes none where these are asked for."""
    folder, *more = arguments.input
    if more or arguments.config or arguments.crops:
        raise errors.InputError(
            f'{folder} holds predictions: give one such folder, and neither --config nor --crops'
        )
    if not arguments.dataset:
        raise errors.InputError(f'{folder} holds predictions; name their data set: --dataset')
    spec = datasets.find(arguments.dataset)
    found = prediction_files.read(folder, spec)
    names = sorted(found.names)
    if arguments.list:
        _print(names)
        return []
    if not names:
        raise errors.InputError(f'{folder} holds no prediction; run `panpipe predict` again')
    chosen = names[: arguments.page or 1]
    if arguments.image:
        chosen = [predicted_sheet.official_name(arguments.image, spec)]
    if chosen[0] not in names:
        raise _unknown(arguments.image, names, folder)
    return [predicted_sheet.make(found, name, spec, arguments.photos) for name in chosen]


def _print(names: Iterable[str]) -> None:
    for name in names:
        print(name)


def _unknown(wanted: str, known: Collection[str], where: str) -> errors.InputError:
    """Makes the error of an id that is not there, which names those that are like it."""
    if not known:
        return errors.InputError(f'{where} holds no image; convert the data again')
    close = difflib.get_close_matches(wanted, known, _ADVISED) or [n for n in known if wanted in n][:_ADVISED]
    advice = f'did you mean {", ".join(close)}?' if close else 'see --list'
    return errors.InputError(f'{where} holds no image {wanted!r}, but {len(known)} others; {advice}')


def _png(drawn: sheet.Sheet) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(drawn.draw()).save(buffer, 'PNG')
    return buffer.getvalue()


if __name__ == '__main__':
    sys.exit(main())
