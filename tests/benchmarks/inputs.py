# SPDX-License-Identifier: Apache-2.0
"""Times training samples of Cityscapes: scaled 0.5 to 2, cropped to 1025 x 2049, flipped, with targets.

python tests/benchmarks/inputs.py [--threads 1,2] [--repeats 30] [--json FILE]

The threads are CPU cores here, all that the process may use. A sample's time is a mean over several, because
they are made ahead. Rows that end in CPU are CPU time, which other programs on the machine disturb less.
"""

import functools
import gc
import os
import pathlib
import resource
import tempfile
import time
from collections.abc import Callable
from typing import Any
from unittest import mock

import frames

import timing

FRAMES = 6
BATCHES_AT_A_TIME = 6
CROP = (1025, 2049)
SCALES = (0.5, 1.0, 1.4, 2.0)
SMALL = {'small_instance_threshold': 4096, 'small_instance_weight': 3.0}
CONFIG = """train_dataset_options {{
  dataset: "cityscapes_panoptic" file_pattern: "{}/*.tfrecord" crop_size: 1025 crop_size: 2049
  increase_small_instance_weights: true small_instance_threshold: 4096 small_instance_weight: 3.0
  augmentations {{ min_scale_factor: 0.5 max_scale_factor: 2.0 scale_factor_step_size: 0.1 }}
}}"""


def measure(repeats: int) -> dict[str, timing.Row]:
    cores = int(os.environ['TF_NUM_INTRAOP_THREADS'])
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:cores])
    with tempfile.TemporaryDirectory() as folder:
        records = frames.write_records(pathlib.Path(folder), FRAMES)
        rows = {}
        for batch_size in (1, 4):
            rows |= _samples(records, batch_size, repeats)
        return rows | (_stages(records, repeats) if cores == 1 else {})


def _samples(records: pathlib.Path, batch_size: int, repeats: int) -> dict[str, timing.Row]:
    from panpipe.model import config
    from panpipe.model.inputs import pipeline

    experiment = config.loads(CONFIG.format(records))
    gc.collect()
    held, begin, used = timing.resident(), time.perf_counter(), _cpu()
    batches = iter(pipeline.training_samples(experiment, batch_size=batch_size, seed=0))
    moved = _bytes(next(batches)) / batch_size
    first = {'first': [1000 * (time.perf_counter() - begin)], 'first, CPU': [1000 * (_cpu() - used)]}
    later: timing.Times = {'sample': [], 'sample, CPU': []}
    for repeat in range(-1, max(1, repeats // 3)):
        begin, used = time.perf_counter(), _cpu()
        for _ in range(BATCHES_AT_A_TIME):
            next(batches)
        if repeat >= 0:
            later['sample'].append(1000 * (time.perf_counter() - begin) / (BATCHES_AT_A_TIME * batch_size))
            later['sample, CPU'].append(1000 * (_cpu() - used) / (BATCHES_AT_A_TIME * batch_size))
    times = later | first | {'resident at most [MB]': [timing.resident('VmHWM')]}
    rows = {f'batches of {batch_size}: {name}': timing.Row(times=values) for name, values in times.items()}
    row = rows[f'batches of {batch_size}: sample']
    files = list(records.glob('*.tfrecord'))
    row['extra'] = timing.resident('VmHWM') - held
    row['moved'] = (moved + sum(file.stat().st_size for file in files) / FRAMES) / 1e6
    return rows


def _bytes(values: Any) -> int:
    import tensorflow as tf

    tensors = [each for each in tf.nest.flatten(values) if each is not None]
    return sum(len(t.numpy()) if t.dtype == tf.string else int(tf.size(t)) * t.dtype.size for t in tensors)


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _stages(records: pathlib.Path, repeats: int) -> dict[str, timing.Row]:
    import tensorflow as tf

    from panpipe.custom_ops import library
    from panpipe.model import datasets
    from panpipe.model.inputs import augment, decode, targets

    files = [str(path) for path in sorted(records.glob('*.tfrecord'))]
    record = next(iter(tf.data.TFRecordDataset(files)))
    labels = datasets.find('cityscapes_panoptic').labels
    sample = decode.decode(record, with_labels=True)
    works = {
        'stage: decode': _work(functools.partial(decode.decode, with_labels=True), record, record),
        'stage: decode image alone': _work(
            functools.partial(decode.decode, with_labels=False), record, record
        ),
    }
    for scale in SCALES:
        scaled = tf.constant([int(scale * side) for side in sample.panoptic.shape])
        window = augment.draw_window(tf.constant([3, 1], tf.int64), scaled, CROP)
        label = augment.cut_label(sample.panoptic, window, CROP, labels.void)
        height, width = (int(side / scale) for side in window.visible.numpy())
        image_part, label_part = (each[:height, :width] for each in (sample.image, sample.panoptic))
        cut_image = functools.partial(augment.cut_image, window=window, crop_size=CROP)
        cut_label = functools.partial(augment.cut_label, window=window, crop_size=CROP, void=labels.void)
        aim = functools.partial(targets.targets, labels=labels, **SMALL)
        for version in ('op', 'twin'):
            load = library.load if version == 'op' else lambda: None
            with mock.patch.object(library, 'load', load):  # while the functions are traced
                works |= {
                    f'stage: cut image, x {scale}, {version}': _work(cut_image, sample.image, image_part),
                    f'stage: cut label, x {scale}, {version}': _work(cut_label, sample.panoptic, label_part),
                    f'stage: targets, x {scale}, {version}': _work(aim, label, label),
                }
    return timing.rows(works, repeats)


def _work(function: Callable[[Any], Any], argument: Any, read: Any) -> timing.Work:
    """Traces a function; it must read at least what `read` holds, and write its result."""
    import tensorflow as tf

    traced = tf.function(function)
    return timing.Work(functools.partial(traced, argument), _bytes([read, traced(argument)]))


if __name__ == '__main__':
    timing.main('Times training samples of Cityscapes size; threads are cores.', measure)
