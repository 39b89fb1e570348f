# SPDX-License-Identifier: Apache-2.0
"""Times conversion of raw Cityscapes frames to records: its stages, one image, and the whole job.

python tests/benchmarks/conversion.py [--threads 1,2] [--repeats 30] [--json FILE]

The threads are processes here: Beam's workers. Rows that end in CPU are CPU time of all processes together,
which other programs on the machine disturb less. The job's rows are of two lengths and their difference, the
cost of an image once all workers run.
"""

import functools
import os
import pathlib
import resource
import subprocess
import sys
import tempfile
import time

import frames

import timing

FRAMES = 6
SHORT_JOB = 24
_TWO_OR_MORE = '--direct_running_mode=multi_processing'


def measure(repeats: int) -> dict[str, timing.Row]:
    with tempfile.TemporaryDirectory() as folder:
        root = frames.write_raw(pathlib.Path(folder) / 'raw', FRAMES)
        processes = int(os.environ['TF_NUM_INTRAOP_THREADS'])
        rows = _one_image(root, repeats) if processes == 1 else {}
        return rows | _jobs(root, pathlib.Path(folder), processes, 4 * repeats)


def _one_image(root: pathlib.Path, repeats: int) -> dict[str, timing.Row]:
    from panpipe.model import datasets
    from panpipe.model.inputs import records
    from panpipe.model.storage import files
    from panpipe.pipelines import sources
    from panpipe.pipelines.record_files import plans, shards
    from panpipe.pipelines.running import failures
    from panpipe.pipelines.sources import entries, images

    spec = datasets.find('cityscapes_panoptic')
    entry, *others = sources.module(spec).list_images(root, 'train', spec)
    photo, record = files.read(entry.path), entries.load(entry)
    label = entry.label.read().panoptic
    small, raw = (len(records.serialize(record, way)) for way in ('zlib', 'raw'))
    (shard,) = plans.deal('train', [entry], 1)
    plans.Plan('digest', spec.name, '', 'zlib', True, {'train': (shard.name,)}).save(str(root), [shard])
    write = functools.partial(shards.write, shard.name, str(root), 'zlib', failures.Policy())
    label_file = small - len(photo)  # about as large as the label in a record
    works = {
        'one image': timing.Work(write, len(photo) + label_file + small),
        'stage: check photo': timing.Work(
            functools.partial(images.upright_rgb, photo, 'png', ''), len(photo)
        ),
        'stage: read label': timing.Work(entry.label.read, label_file + label.nbytes),
        'stage: serialize': timing.Work(
            functools.partial(records.serialize, record), len(photo) + label.nbytes + small
        ),
        'stage: serialize raw': timing.Work(
            functools.partial(records.serialize, record, 'raw'), len(photo) + label.nbytes + raw
        ),
    }
    rows = timing.rows(works, repeats)
    for label_format in records.LABEL_FORMATS:
        sizes = [len(records.serialize(entries.load(each), label_format)) / 1000 for each in (entry, *others)]
        rows[f'record, {label_format} label [kB]'] = timing.Row(times=sizes)
    return rows


def _jobs(root: pathlib.Path, folder: pathlib.Path, processes: int, more: int) -> dict[str, timing.Row]:
    rows: dict[str, timing.Row] = {}
    costs = []
    moved = sum(path.stat().st_size for path in root.rglob('*.png')) / FRAMES / 1e6
    for images in (SHORT_JOB, SHORT_JOB + more):
        output = folder / f'records{images}'
        cost = _job(_linked(root, folder / f'raw{images}', images), output, processes)
        written = sum(path.stat().st_size for path in output.iterdir() if path.is_file()) / images / 1e6
        for name, value in zip(('', ', CPU'), cost, strict=True):
            rows[f'job of {images} images, an image{name}'] = timing.Row(times=[value / images])
        rows[f'job of {images} images, an image']['moved'] = moved + written
        costs.append(cost)
    for name, short, long in zip(('', ', CPU'), *costs, strict=True):
        rows[f'a further image of the job{name}'] = timing.Row(times=[(long - short) / more])
    rows['a further image of the job']['moved'] = moved + written
    largest = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1000
    rows['resident at most, the largest process [MB]'] = timing.Row(times=[largest])
    return rows


def _job(root: pathlib.Path, output: pathlib.Path, processes: int) -> tuple[float, float]:
    """Converts, and returns how long it took and its CPU time, in milliseconds."""
    command = [sys.executable, '-m', 'panpipe.pipelines.convert', '--dataset=cityscapes_panoptic']
    command += [f'--input={root}', f'--output={output}', '--splits=train']
    if processes > 1:
        command += [_TWO_OR_MORE, f'--direct_num_workers={processes}']
    begin, cpu = time.perf_counter(), _cpu()
    subprocess.run(command, check=True, capture_output=True)
    return 1000 * (time.perf_counter() - begin), 1000 * (_cpu() - cpu)


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _linked(root: pathlib.Path, target: pathlib.Path, count: int) -> pathlib.Path:
    """Makes a data set of that many images, which are links to a few."""
    for path in sorted(root.rglob('*.png')):
        number = int(path.name.split('_')[1])
        for copy in range(number, count, FRAMES):
            link = target / path.relative_to(root).with_name(
                path.name.replace(f'{number:06d}', f'{copy:06d}')
            )
            link.parent.mkdir(parents=True, exist_ok=True)
            link.hardlink_to(path)
    return target


if __name__ == '__main__':
    timing.main('Times conversion of Cityscapes frames; threads are processes.', measure)
