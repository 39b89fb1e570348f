# SPDX-License-Identifier: Apache-2.0
"""Time and memory of a driver that plans the conversion of as many images as COCO's training set has.

Image files are empty, because a plan does not look into them; the JSON file has COCO's eleven segments an
image.
`python tests/benchmarks/planning.py [IMAGES]` works in a temporary folder.
"""

import argparse
import gc
import json
import os
import pathlib
import resource
import sys
import tempfile
import time

from panpipe.model import datasets
from panpipe.pipelines import convert

_IMAGES, _SEGMENTS = 118_287, 11


def write(root: pathlib.Path, images: int) -> None:
    """Writes the layout of COCO with empty images."""
    for folder in ('train2017', 'annotations/panoptic_train2017'):
        (root / folder).mkdir(parents=True)
    ids = [category.official_id for category in datasets.SPECS['coco_panoptic'].categories]
    annotations = []
    for number in range(images):
        for place in (f'train2017/{number:012d}.jpg', f'annotations/panoptic_train2017/{number:012d}.png'):
            os.close(os.open(root / place, os.O_CREAT))
        segments = [
            {'id': 1000 * s + 1, 'category_id': ids[(number + s) % len(ids)], 'area': 900 + s, 'iscrowd': 0}
            for s in range(_SEGMENTS)
        ]
        name = f'{number:012d}.png'
        annotations.append({'image_id': number, 'file_name': name, 'segments_info': segments})
    content = {'annotations': annotations, 'images': [], 'categories': []}
    (root / 'annotations' / 'panoptic_train2017.json').write_text(json.dumps(content))


def main() -> None:
    """Writes the data in a child process, plans, and prints seconds of the processor and memory."""
    images = int(sys.argv[1]) if len(sys.argv) > 1 else _IMAGES
    with tempfile.TemporaryDirectory() as folder:
        child = os.fork()
        if not child:
            write(pathlib.Path(folder, 'coco'), images)
            os._exit(0)
        os.waitpid(child, 0)
        arguments = argparse.Namespace(
            input=f'{folder}/coco', num_shards=None, label_format='zlib', treat_crowd_as_ignore=False,
            semantic_only=False, on_error='fail', strict=False,
        )  # fmt: skip
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        started, wall = time.process_time(), time.monotonic()
        with convert._without_collection():
            plan, planned = convert._plan(arguments, datasets.SPECS['coco_panoptic'], ['train'])
        plan.save(plan.staging(f'{folder}/records'), planned)
        largest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        print(
            f'{images} images: {time.process_time() - started:.1f} s of the processor, '
            f'{time.monotonic() - wall:.1f} s in all, {len(plan.names)} files planned; '
            f'at most {largest / 1024:.0f} MB, {before / 1024:.0f} MB of these before planning'
        )
    gc.collect()


if __name__ == '__main__':
    main()
