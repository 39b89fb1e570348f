# SPDX-License-Identifier: Apache-2.0
"""Shards of a record set: dealt out, written aside by workers, published together.

A worker gets the name of a plan, a small file that lists the images of one shard, so that nothing large goes
through the runner. It writes the shard beside the plan. Only when all are whole do they take their places.
"""

import contextlib
import dataclasses
import importlib.metadata
import json
import pickle
import threading
import uuid
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TextIO

import rich.console
import rich.progress
from apache_beam.io import filesystem, filesystems, tfrecordio

from panpipe.model import errors
from panpipe.model.inputs import records
from panpipe.pipelines import files
from panpipe.pipelines.sources import entries

MANIFEST = 'manifest.json'
_SUFFIX = '.tfrecord'
_POLL_SECONDS = 0.5


@dataclasses.dataclass(frozen=True)
class Shard:
    """Lists what goes into one file.

    Attributes:
      split: 'train', 'val', …
      index: of this file.
      count: of the split's files.
      entries: the images, in order.
    """

    split: str
    index: int
    count: int
    entries: tuple[entries.ImageFile, ...]

    @property
    def name(self) -> str:
        """File name, which says split, index and count."""
        return f'{self.split}-{self.index:05d}-of-{self.count:05d}{_SUFFIX}'


def deal(split: str, found: Sequence[entries.ImageFile], count: int) -> list[Shard]:
    """Deals images out in contiguous runs of ceil(images / count); the last shards may be short or empty."""
    size = -(-len(found) // count)
    return [Shard(split, i, count, tuple(found[i * size : (i + 1) * size])) for i in range(count)]


@contextlib.contextmanager
def staged(output: str) -> Iterator[str]:
    """Makes a folder inside `output` to work in, gone afterwards, as is a new `output` after a failure.

    Raises:
      errors.InputError: no folder can be made there.
    """
    is_new = not files.exists(output)
    staging = files.join(output, f'.convert-{uuid.uuid4().hex[:8]}')
    try:
        filesystems.FileSystems.mkdirs(staging)
    except (OSError, filesystem.BeamIOError) as error:
        raise errors.InputError(f'cannot write into {output} ({error}); choose another --output') from error
    try:
        yield staging
    except BaseException:
        files.delete([*files.find(staging, '*'), staging, *([output] if is_new else [])])
        raise
    files.delete([*files.find(staging, '*'), staging])


def save_plans(staging: str, planned: Sequence[Shard]) -> list[str]:
    """Writes each shard's plan into the staging folder, and returns the shards' names."""
    for shard in planned:
        _write(files.join(staging, f'{shard.name}.plan'), pickle.dumps(shard))
    return [shard.name for shard in planned]


def write(name: str, staging: str, label_format: str) -> None:
    """Writes the shard of that name aside. Runs on workers; doing it twice does no harm.

    Raises:
      errors.InputError: an image or its annotation is missing or damaged.
    """
    shard: Shard = pickle.loads(files.read(files.join(staging, f'{name}.plan')))
    partial = files.join(staging, f'{name}.{uuid.uuid4().hex[:8]}')
    with filesystems.FileSystems.create(partial, compression_type=_PLAIN) as file:
        for entry in shard.entries:
            record = entries.load(entry)
            tfrecordio._TFRecordUtil.write_record(file, records.serialize(record, label_format))
    filesystems.FileSystems.rename([partial], [files.join(staging, name)])


def publish(staging: str, output: str, planned: Sequence[Shard], facts: Mapping[str, Any]) -> None:
    """Moves finished shards to their places, removes those of an earlier run, writes the manifest last."""
    manifest = files.join(output, MANIFEST)
    kept = _earlier_splits(manifest, facts)
    files.delete([manifest])
    names = [shard.name for shard in planned]
    filesystems.FileSystems.rename(
        [files.join(staging, name) for name in names], [files.join(output, name) for name in names]
    )
    splits = dict.fromkeys(shard.split for shard in planned)
    for split in splits:
        stale = files.find(output, f'{split}-?????-of-?????{_SUFFIX}')
        files.delete([path for path in stale if path.rsplit('/', 1)[-1] not in names])
    told = {
        split: {
            'images': sum(len(shard.entries) for shard in planned if shard.split == split),
            'shards': [shard.name for shard in planned if shard.split == split],
            'label_format': facts['label_format'],
            'has_instances': facts['has_instances'],
        }
        for split in splits
    }
    content = {
        'dataset': facts['dataset'],
        'panpipe': importlib.metadata.version('panpipe'),
        'splits': {**kept, **told},
    }
    aside = files.join(staging, MANIFEST)
    _write(aside, json.dumps(content, indent=2).encode() + b'\n')
    filesystems.FileSystems.rename([aside], [manifest])


@contextlib.contextmanager
def progress(staging: str, total: int, console: TextIO) -> Iterator[None]:
    """Shows how many shards the staging folder holds, wherever the workers are."""
    done = threading.Event()
    with rich.progress.Progress(
        rich.progress.TextColumn('{task.completed}/{task.total} files'),
        rich.progress.BarColumn(),
        rich.progress.TimeElapsedColumn(),
        console=rich.console.Console(file=console),
    ) as bar:
        task = bar.add_task('', total=total)

        def count() -> None:
            bar.update(task, completed=len(files.find(staging, f'*{_SUFFIX}')))

        def watch() -> None:
            while not done.wait(_POLL_SECONDS):
                count()

        thread = threading.Thread(target=watch, daemon=True)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()
            count()


_PLAIN = filesystem.CompressionTypes.UNCOMPRESSED


def _earlier_splits(manifest: str, facts: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the splits of an earlier run on the same data set."""
    if not files.exists(manifest):
        return {}
    try:
        earlier = json.loads(files.read(manifest))
        return dict(earlier['splits']) if earlier['dataset'] == facts['dataset'] else {}
    except (ValueError, KeyError, TypeError):
        return {}


def _write(path: str, content: bytes) -> None:
    with filesystems.FileSystems.create(path, compression_type=_PLAIN) as file:
        file.write(content)
