# SPDX-License-Identifier: Apache-2.0
"""Time that the statistics job takes to look at a record for oddities: greys of the image, counts of labels.

`python tests/benchmarks/looks.py` draws a Cityscapes-sized PNG and a COCO-sized JPEG with labels of things.
"""

import io
import statistics
import time

import numpy as np
from PIL import Image

from panpipe.model import datasets
from panpipe.model.inputs import records
from panpipe.pipelines.record_files import looks

_TIMES = 9
_SPEC = datasets.SPECS['cityscapes_panoptic']


def _record(height: int, width: int, image_format: str) -> bytes:
    rng = np.random.default_rng(0)
    small = rng.integers(0, 256, (height // 16, width // 16, 3), np.uint8)
    pixels = np.asarray(Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC))
    noisy = np.clip(pixels + rng.integers(-9, 10, pixels.shape), 0, 255).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(noisy).save(buffer, image_format)
    panoptic = np.zeros((height, width), np.int32)
    for number in range(30):
        top, left = rng.integers(0, height), rng.integers(0, width)
        panoptic[top : top + height // 8, left : left + width // 8] = 13001 + number
    record = records.Record('x', buffer.getvalue(), image_format.lower(), height, width, panoptic)
    return records.serialize(record)


def main() -> None:
    """Prints the median CPU time of a look at each record."""
    for name, size in (('PNG 1024 x 2048', (1024, 2048, 'PNG')), ('JPEG 480 x 640', (480, 640, 'JPEG'))):
        serialized = _record(*size)
        taken = []
        for _ in range(_TIMES):
            started = time.process_time()
            looks.look(serialized, _SPEC.labels, 'train', 'file')
            taken.append(time.process_time() - started)
        print(
            f'{name}: {1000 * statistics.median(taken):.1f} CPU-ms, record of {len(serialized) / 1e6:.2f} MB'
        )


if __name__ == '__main__':
    main()
