# SPDX-License-Identifier: Apache-2.0
"""Times training samples of Cityscapes: scaled 0.5 to 2, cropped to 1025 x 2049, flipped, with targets.

python tests/benchmarks/inputs.py [--threads 1,2] [--repeats 30] [--json FILE]

The threads are CPU cores here, all that the process may use. A sample's time is a mean over several, because
they are made ahead. Rows that end in CPU are CPU time, which other programs on the machine disturb less.
"""

import functools
import os
import pathlib
import resource
import tempfile
import time

import frames

import timing

FRAMES = 6
SAMPLES_AT_A_TIME = 8
CROP = (1025, 2049)
SCALES = (0.5, 1.0, 1.4, 2.0)
SMALL = {'small_instance_threshold': 4096, 'small_instance_weight': 3.0}
CONFIG = """train_dataset_options {{
  dataset: "cityscapes_panoptic" file_pattern: "{}/*.tfrecord" crop_size: 1025 crop_size: 2049
  increase_small_instance_weights: true small_instance_threshold: 4096 small_instance_weight: 3.0
  augmentations {{ min_scale_factor: 0.5 max_scale_factor: 2.0 scale_factor_step_size: 0.1 }}
}}"""


def measure(repeats: int) -> timing.Times:
    cores = int(os.environ['TF_NUM_INTRAOP_THREADS'])
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:cores])
    with tempfile.TemporaryDirectory() as folder:
        records = frames.write_records(pathlib.Path(folder), FRAMES)
        times = {}
        for batch_size in (1, 4):
            times |= _samples(records, batch_size, repeats)
        return times | (_stages(records, repeats) if cores == 1 else {})


def _samples(records: pathlib.Path, batch_size: int, repeats: int) -> timing.Times:
    from panpipe.model import config
    from panpipe.model.inputs import pipeline

    experiment = config.loads(CONFIG.format(records))
    begin, used = time.perf_counter(), _cpu()
    batches = iter(pipeline.training_samples(experiment, batch_size=batch_size, seed=0))
    next(batches)
    first = {'first': [1000 * (time.perf_counter() - begin)], 'first, CPU': [1000 * (_cpu() - used)]}
    later: timing.Times = {'sample': [], 'sample, CPU': []}
    for repeat in range(-1, max(1, repeats // 3)):
        begin, used = time.perf_counter(), _cpu()
        for _ in range(SAMPLES_AT_A_TIME // batch_size):
            next(batches)
        if repeat >= 0:
            later['sample'].append(1000 * (time.perf_counter() - begin) / SAMPLES_AT_A_TIME)
            later['sample, CPU'].append(1000 * (_cpu() - used) / SAMPLES_AT_A_TIME)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000
    times = later | first | {'resident [MB]': [peak]}
    return {f'batches of {batch_size}: {name}': values for name, values in times.items()}


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _stages(records: pathlib.Path, repeats: int) -> timing.Times:
    import tensorflow as tf

    from panpipe.model import datasets
    from panpipe.model.inputs import augment, decode, targets

    files = [str(path) for path in sorted(records.glob('*.tfrecord'))]
    record = next(iter(tf.data.TFRecordDataset(files)))
    labels = datasets.find('cityscapes_panoptic').labels
    sample = decode.decode(record, with_labels=True)
    works = {
        'stage: decode': (functools.partial(decode.decode, with_labels=True), record),
        'stage: decode image alone': (functools.partial(decode.decode, with_labels=False), record),
    }
    for scale in SCALES:
        scaled = tf.constant([int(scale * side) for side in sample.panoptic.shape])
        window = augment.draw_window(tf.constant([3, 1], tf.int64), scaled, CROP)
        label = augment.cut_label(sample.panoptic, window, CROP, labels.void)
        cut = functools.partial(augment.cut_label, window=window, crop_size=CROP, void=labels.void)
        works |= {
            f'stage: cut image, x {scale}': (
                functools.partial(augment.cut_image, window=window, crop_size=CROP),
                sample.image,
            ),
            f'stage: cut label, x {scale}': (cut, sample.panoptic),
            f'stage: targets, x {scale}': (functools.partial(targets.targets, labels=labels, **SMALL), label),
        }
    traced = {
        name: functools.partial(tf.function(work), argument) for name, (work, argument) in works.items()
    }
    return timing.in_turn(traced, repeats)


if __name__ == '__main__':
    timing.main('Times training samples of Cityscapes size; threads are cores.', measure)
