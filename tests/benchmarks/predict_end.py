# SPDX-License-Identifier: Apache-2.0
"""Time and memory of the last step of predict, which gathers the notes of all images into the JSON files.

`python tests/benchmarks/predict_end.py [IMAGES]` works in a temporary folder, on notes of eleven segments and
five things an image, as COCO has; the files of the images themselves are not written.
"""

import json
import os
import pathlib
import resource
import sys
import tempfile
import time

from panpipe.model import datasets
from panpipe.pipelines.formats import maps
from panpipe.pipelines.predictions import notes, resumption, writing
from panpipe.pipelines.running import failures

_IMAGES, _SEGMENTS, _THINGS, _A_FILE = 20_000, 11, 5, 64
_SPEC = datasets.SPECS['coco_panoptic']
_MASK = 'Zkl1' * 60  # a run-length mask of 240 characters


def note(number: int) -> maps.Note:
    """Makes the note of an image."""
    name = f'{number:012d}'
    kinds = [_SPEC.categories[(number + s) % len(_SPEC.categories)].official_id for s in range(_SEGMENTS)]
    listed = [{'id': s + 1, 'category_id': k, 'area': 900, 'iscrowd': 0} for s, k in enumerate(kinds)]
    annotation = {'image_id': number, 'file_name': f'{name}.png', 'segments_info': listed}
    mask = {'size': [480, 640], 'counts': _MASK}
    things = [{'image_id': number, 'category_id': k, 'segmentation': mask, 'score': 0.5} for k in kinds]
    return maps.Note(name, annotation, things[:_THINGS])


def main() -> None:
    """Writes the notes in a child process, finishes, and prints seconds and memory."""
    images = int(sys.argv[1]) if len(sys.argv) > 1 else _IMAGES
    with tempfile.TemporaryDirectory() as folder:
        output = os.path.join(folder, 'predictions')
        unfinished = resumption.Unfinished(output, f'{output}.partial')
        child = os.fork()
        if not child:
            for first in range(0, images, _A_FILE):
                notes.write(unfinished.notes, [note(n) for n in range(first, min(first + _A_FILE, images))])
            os._exit(0)
        os.waitpid(child, 0)
        plan = writing.Plan(unfinished, 'coco', _SPEC, failures.Policy(), None)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        started, wall = time.process_time(), time.monotonic()
        writing.finish(None, plan, (f'{number:012d}' for number in range(images)), [], [])
        largest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        assert len(json.loads(pathlib.Path(output, 'panoptic.json').read_bytes())['annotations']) == images
        print(
            f'{images} images: {time.process_time() - started:.1f} s of the processor, '
            f'{time.monotonic() - wall:.1f} s in all; {(largest - before) / 1024:.0f} MB more than before'
        )


if __name__ == '__main__':
    main()
