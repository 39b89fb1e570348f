# SPDX-License-Identifier: Apache-2.0
"""Raw data of Cityscapes size for the benchmarks: photos of 2.5 MB, 35 instances a frame."""

import pathlib

import numpy as np
from PIL import Image

HEIGHT, WIDTH = 1024, 2048
_INSTANCE_BASE = 1000


def frame(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Draws a photo, uint8 [height, width, 3], and its Cityscapes instance ids, uint16 [height, width].

    Four toy scenes, two by two, hold about as many instances as a crowded frame of Cityscapes.
    """
    from panpipe.pipelines.toy_street import scenes

    rng = np.random.default_rng(seed)
    image = np.empty((HEIGHT, WIDTH, 3), np.uint8)
    ids = np.empty((HEIGHT, WIDTH), np.uint16)
    for quarter in range(4):
        scene = scenes.draw(rng, HEIGHT // 2, WIDTH // 2)
        top, left = quarter // 2 * HEIGHT // 2, quarter % 2 * WIDTH // 2
        place = np.s_[top : top + HEIGHT // 2, left : left + WIDTH // 2]
        # The toy's grain is coarser than a camera's: without its last bit, files are as large as real ones.
        image[place] = scene.image & 0xFE
        ids[place] = scene.ids + 100 * quarter * (scene.ids >= _INSTANCE_BASE)
    return image, ids


def write_raw(folder: pathlib.Path, count: int, split: str = 'train') -> pathlib.Path:
    """Writes that many frames in the layout of Cityscapes, and returns its root."""
    for seed in range(count):
        image, ids = frame(seed)
        for kind, ending, pixels in (
            ('leftImg8bit', 'leftImg8bit', image),
            ('gtFine', 'gtFine_instanceIds', ids),
        ):
            place = folder / kind / split / 'town'
            place.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(place / f'town_{seed:06d}_000019_{ending}.png')
    return folder


def write_records(folder: pathlib.Path, count: int) -> pathlib.Path:
    """Writes that many frames as records, train-*.tfrecord, and returns their folder."""
    from panpipe.pipelines import convert

    root, output = write_raw(folder / 'raw', count), folder / 'records'
    arguments = ['--dataset=cityscapes_panoptic', f'--input={root}', f'--output={output}', '--splits=train']
    if convert.main([*arguments, '--num_shards=2']):
        raise RuntimeError(f'could not convert {root}')
    return output
