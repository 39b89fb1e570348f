# SPDX-License-Identifier: Apache-2.0
"""`panpipe toy`: writes a small synthetic data set in the official layout of Cityscapes or COCO."""

import argparse
import functools
import pathlib
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence

import numpy as np

from panpipe.model import datasets, errors
from panpipe.model.jobs import command_line, outputs
from panpipe.model.storage import copies, files, lock
from panpipe.pipelines.toy_street import layouts, scenes

_SMALLEST = 32


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the job: exit status 0 done, 2 for a user's mistake."""
    parser = command_line.parser(
        'toy',
        """
        Draws street scenes with exact panoptic labels and writes them as the official download of a data set
        is laid out, so that every other job can be tried without downloading anything.
        """,
        (
            'panpipe toy --dataset cityscapes_panoptic --output data/toy',
            'panpipe toy --dataset coco_panoptic --output data/toy_coco --images 6 --height 128 --width 256',
        ),
    )
    parser.add_argument(
        '--dataset', required=True, choices=sorted(layouts.WRITERS), help='data set whose layout is written'
    )
    parser.add_argument('--output', required=True, help='folder to write; must be empty if it exists')
    parser.add_argument(
        '--images',
        type=int,
        default=24,
        help='number of training images; the validation split gets a third as many (default: %(default)s)',
    )
    parser.add_argument(
        '--height', type=int, default=256, help='height of the images in pixels (default: %(default)s)'
    )
    parser.add_argument(
        '--width', type=int, default=512, help='width of the images in pixels (default: %(default)s)'
    )
    parser.add_argument('--seed', type=int, default=0, help='the same seed draws the same images')
    arguments = parser.parse_args(argv)
    return command_line.run('toy', functools.partial(_locked, arguments))


def draw_split(split: str, images: int, size: tuple[int, int], seed: int) -> Iterator[scenes.Scene]:
    """Draws the scenes of a split, each from a generator of its own.

    Args:
      split: 'train' or 'val', which have nothing in common.
      images: number of scenes.
      size: (height, width) in pixels.
      seed: chooses the data set.
    """
    for number in range(images):
        yield scenes.draw(np.random.default_rng([seed, ('train', 'val').index(split), number]), *size)


def _locked(arguments: argparse.Namespace) -> None:
    _check_numbers(arguments)
    outputs.check_folder('--output', arguments.output)
    with lock.held(lock.beside(arguments.output), 'toy'):
        copies.run(_write, arguments, kind=pathlib.Path)


def _write(arguments: argparse.Namespace) -> None:
    _check_empty(arguments.given.output)
    counts = {'train': arguments.images, 'val': max(1, arguments.images // 3)}
    output: pathlib.Path = arguments.output
    aside = pathlib.Path(tempfile.mkdtemp(prefix=f'.{output.name}-', dir=output.parent))
    try:
        aside.chmod(0o755)
        spec = datasets.find(arguments.dataset)
        with files.naming(arguments.given.output):
            for split, images in counts.items():
                drawn = draw_split(split, images, (arguments.height, arguments.width), arguments.seed)
                layouts.WRITERS[arguments.dataset](aside, split, drawn, spec)
        try:
            aside.rename(output)
        except OSError as error:
            raise errors.InputError(
                f'{output} was made meanwhile ({error.strerror}); choose another'
            ) from error
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    told = f'{counts["train"]} train and {counts["val"]} val images in the layout of {spec.name}'
    print(f'{arguments.given.output}: {told}')


def _check_numbers(arguments: argparse.Namespace) -> None:
    if arguments.images < 1:
        raise errors.InputError(f'--images is {arguments.images}; it must be at least 1')
    if min(arguments.height, arguments.width) < _SMALLEST:
        raise errors.InputError(
            f'--height x --width is {arguments.height} x {arguments.width}; both must be at least {_SMALLEST}'
        )
    if arguments.seed < 0:
        raise errors.InputError(f'--seed is {arguments.seed}; it must not be negative')


def _check_empty(output: str) -> None:
    if files.exists(output) and (not files.is_folder(output) or files.names(output)):
        raise errors.InputError(f'{output} exists and is not empty; remove it or choose another --output')


if __name__ == '__main__':
    sys.exit(main())
