# SPDX-License-Identifier: Apache-2.0
"""What the jobs would take for very many images, computed from figures that were measured for one.

`python tests/benchmarks/scale_model.py [IMAGES]` prints the tables of docs/scale.md. Prices of core-hours,
bytes and requests are the reader's. Nothing here was run at that size.
"""

import dataclasses
import sys
from collections.abc import Iterator

_SHARD = 128 * 2**20  # bytes of image and label files that make a shard


@dataclasses.dataclass(frozen=True)
class Kind:
    """States what an image of a kind takes: bytes of its files and record, CPU milliseconds of each job.

    Sources: docs/performance.md (convert, predict), tests/benchmarks/looks.py (statistics: the look beside
    TensorFlow Transform alone).
    """

    name: str
    files: float
    record: float
    convert: float
    look: float
    predict: float


KINDS = (
    Kind('Cityscapes, PNG 1024 x 2048', 2.62e6, 2.7e6, 40, 181, 90),
    Kind('COCO, JPEG 480 x 640', 0.165e6, 0.17e6, 40 * 0.15, 8.5, 90 * 0.15),  # 0.15 of the pixels
)
# Of drivers and last steps, which work alone: milliseconds and bytes an image.
_PLAN_MS, _PLAN_BYTES = 28_000 / 118_287, 177e6 / 118_287  # tests/benchmarks/planning.py
_GATHER_MS = 8_000 / 20_000  # tests/benchmarks/predict_end.py
_NOTE_BYTES = 1_000  # of panoptic.json


def spread(kind: Kind, images: float) -> Iterator[tuple[str, str]]:
    """Yields what grows with the images and is shared by workers."""
    shards = images * kind.files / _SHARD
    yield 'files read by convert', f'{images * kind.files / 1e12:,.0f} TB, {2 * images:,.0f} requests'
    yield 'records', f'{images * kind.record / 1e12:,.0f} TB in {shards:,.0f} files, 2 requests each'
    for job in ('convert', 'look', 'predict'):
        yield f'core-hours of {job}', f'{images * getattr(kind, job) / 3.6e6:,.0f}'


def alone(images: float) -> Iterator[tuple[str, str]]:
    """Yields what one process does for all images."""
    yield (
        'planning of convert',
        f'{images * _PLAN_MS / 3.6e6:.1f} h, {images * _PLAN_BYTES / 1e9:,.0f} GB of memory',
    )
    yield (
        'last step of predict',
        f'{images * _GATHER_MS / 3.6e6:.1f} h, a file of {images * _NOTE_BYTES / 1e9:,.0f} GB',
    )


def main() -> None:
    """Prints the tables."""
    images = float(sys.argv[1]) if len(sys.argv) > 1 else 1e8
    for kind in KINDS:
        print(f'\n{kind.name}, {images:,.0f} images')
        for name, value in spread(kind, images):
            print(f'  {name}: {value}')
    print('\nin one process')
    for name, value in alone(images):
        print(f'  {name}: {value}')


if __name__ == '__main__':
    main()
