# SPDX-License-Identifier: Apache-2.0
"""Lets finished shards take their places: shards first, then the manifest, then away with what is old.

Until the manifest is replaced, readers see the earlier set. Publishing that was stopped anywhere is completed
by doing it again.
"""

import dataclasses
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TextIO

import apache_beam as beam
import rich.console
import rich.progress

from panpipe.model import errors
from panpipe.model.storage import addresses, files, lock, manifest, record_sets
from panpipe.pipelines import execution
from panpipe.pipelines.record_files import plans, shards
from panpipe.pipelines.running import failures

_POLL_SECONDS, _POLL_SECONDS_REMOTE = 0.5, 3.0  # an object store takes money for each look
# Workers may do this step twice, at the same time; the job itself holds the lock of the folder.
_LOCK, _PATIENCE = '.publishing', 300.0


@dataclasses.dataclass(eq=False)
class PublishShards(execution.Step):
    """Publishes the shards of a staging folder, when the names of all written ones have come in.

    Attributes:
      staging: address of the staging folder.
      output: address of the folder of records.
      digest: of the plan.
      policy: how many images may be missing.
    """

    staging: str
    output: str
    digest: str
    policy: failures.Policy

    def expand(self, written: beam.PCollection) -> beam.PCollection:
        """Returns the address of the folder of records, once it is complete."""
        once = written.pipeline | 'Once' >> beam.Create([self.output])
        return once | 'Publish' >> beam.Map(
            _publish_all, beam.pvalue.AsIter(written), self.staging, self.digest, self.policy
        )


def _publish_all(
    output: str, written: Iterable[str], staging: str, digest: str, policy: failures.Policy
) -> str:
    sum(1 for _ in written)  # waits for them
    publish(staging, output, digest, policy)
    return output


def publish(staging: str, output: str, digest: str, policy: failures.Policy) -> None:
    """Moves finished shards to their places, writes the manifest, and removes what neither needs.

    Raises:
      errors.InputError: a shard is missing, too many images were skipped, or another run publishes there.
    """
    with lock.held(addresses.join(output, _LOCK), 'convert', _PATIENCE):
        if _is_published(output, digest) and not files.exists(staging):
            return  # a runner did this step twice
        plan = plans.Plan.read(staging)
        done = {name: shards.finished(staging, output, name) for name in plan.names}
        missing = [name for name, one in done.items() if one is None]
        if missing:
            raise errors.InputError(
                f'{missing[0]} ({len(missing)} of {len(done)} files) was not written into {staging}; '
                'do all workers reach --output? Run the same command again'
            )
        found = {name: one for name, one in done.items() if one is not None}
        policy.settle(output, (letter for one in found.values() for letter in one.skipped))
        for name in plan.names:
            if files.exists(addresses.join(staging, name)):
                files.move(addresses.join(staging, name), addresses.join(output, name))
        told = _manifest(plan, found, manifest.read(output) if _is_readable(output) else None)
        manifest.write(output, told)
        _delete_old(output, told, plan)
    files.delete([staging])


def left_behind(output: str) -> list[str]:
    """Lists staging folders of interrupted runs."""
    return [name for name in files.names(output) if name.startswith(plans.STAGING)]


@contextmanager
def progress(staging: str, total: int, console: TextIO) -> Iterator[None]:
    """Shows how many shards of the staging folder are finished, wherever the workers are."""
    done = threading.Event()
    pause = _POLL_SECONDS_REMOTE if addresses.is_remote(staging) else _POLL_SECONDS
    with rich.progress.Progress(
        rich.progress.TextColumn('{task.completed}/{task.total} files'),
        rich.progress.BarColumn(),
        rich.progress.TimeElapsedColumn(),
        console=rich.console.Console(file=console),
    ) as bar:
        task = bar.add_task('', total=total)

        def watch() -> None:
            while not done.wait(pause):
                number = len(files.find(staging, f'*{shards.DONE}'))
                bar.update(task, completed=max(number, int(bar.tasks[0].completed)))

        thread = threading.Thread(target=watch, daemon=True)
        thread.start()
        try:
            yield
            bar.update(task, completed=total)
        finally:
            done.set()
            thread.join()


def _manifest(
    plan: plans.Plan, done: dict[str, shards.Finished], earlier: manifest.Manifest | None
) -> manifest.Manifest:
    splits = dict(earlier.splits) if earlier else {}
    for split, names in plan.shards.items():
        listed = tuple(done[name].shard for name in names)
        images = sum(shard.records for shard in listed)
        splits[split] = manifest.Split(images, plan.label_format, plan.has_instances, listed, plan.digest)
    return manifest.Manifest(plan.dataset, plan.version, splits, plan.description)


def _is_readable(output: str) -> bool:
    """Returns whether there is a manifest of this version; one of another is replaced."""
    try:
        return manifest.read(output) is not None
    except errors.InputError:
        return False


def _is_published(output: str, digest: str) -> bool:
    told = manifest.read(output) if _is_readable(output) else None
    return told is not None and any(split.plan == digest for split in told.splits.values())


def _delete_old(output: str, told: manifest.Manifest, plan: plans.Plan) -> None:
    for split in plan.shards:
        named = {shard.name for shard in told.splits[split].shards}
        there = files.find(output, f'{split}-?????-of-?????{record_sets.SUFFIX}')
        files.delete([path for path in there if addresses.name(path) not in named])
