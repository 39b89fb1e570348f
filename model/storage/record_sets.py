# SPDX-License-Identifier: Apache-2.0
"""Finds files of records: by patterns, and only such that make a complete set.

Files of a set are called `SPLIT-00003-of-00010.tfrecord`. Where two sets of one split lie in a folder, the
manifest says which one counts. Files with other names are taken as they are.
"""

import collections
import re
from collections.abc import Iterable, Iterator, Sequence

from panpipe.model import errors
from panpipe.model.storage import addresses, files, manifest, reach, tfrecords

SUFFIX = '.tfrecord'
_SHARD = re.compile(r'(?P<split>.+)-(?P<index>\d{5})-of-(?P<count>\d{5})(?P<ending>\.tfrecord)?')


def find(option: str, patterns: str | Sequence[str]) -> list[files.Facts]:
    """Lists the files that patterns match, sorted by path, each once.

    Args:
      option: the user gave the patterns with, for example '--input'.
      patterns: a file, a folder of `*.tfrecord`, or a glob pattern each; as text, separated by commas.

    Raises:
      errors.InputError: a pattern matches no file, or files of a set that is incomplete or ambiguous.
    """
    parts = addresses.listed(patterns) if isinstance(patterns, str) else list(patterns)
    if not parts:
        raise errors.InputError(f'{option} names no records; give a pattern such as records/train*')
    found: dict[str, files.Facts] = {}
    for pattern in parts:
        reach.check(option, pattern)
        matched = match(pattern)
        if not matched:
            raise errors.InputError(
                f'{option} {pattern} matches no file; give records that `panpipe convert` wrote, such as '
                'records/train*'
            )
        found |= {told.path: told for told in matched}
    return complete(option, sorted(found.values(), key=lambda told: told.path))


def match(pattern: str) -> list[files.Facts]:
    """Lists the files that a pattern matches, or all `*.tfrecord` where it names a folder."""
    if files.is_file(pattern):
        return [files.facts(pattern)]
    if pattern.endswith('/') or files.is_folder(pattern):
        return files.match(addresses.join(addresses.escaped(pattern), f'*{SUFFIX}'))
    below = files.match(addresses.join(pattern, f'*{SUFFIX}')) if addresses.is_pattern(pattern) else []
    return [told for told in (*files.match(pattern), *below) if addresses.name(told.path) != manifest.NAME]


def complete(option: str, found: Sequence[files.Facts]) -> list[files.Facts]:
    """Leaves out files of sets that the manifests beside them do not name.

    Raises:
      errors.InputError: a set lacks files, two sets of a split have no manifest that chooses, or a file is
        not of the size that the manifest states.
    """
    by_folder = collections.defaultdict[str, list[files.Facts]](list)
    for told in found:
        by_folder[addresses.parent(told.path)].append(told)
    return [told for folder, group in by_folder.items() for told in _of_folder(option, folder, group)]


def split_of(path: str) -> str:
    """Returns the split that the name of a file tells, an empty text if none.

    >>> split_of('gs://bucket/val-00003-of-00010.tfrecord'), split_of('mine.tfrecord')
    ('val', '')
    """
    name = _SHARD.fullmatch(addresses.name(path))
    return name['split'] if name else ''


def count(found: Iterable[files.Facts]) -> int:
    """Counts records: as the manifests say, or by the headers of files."""
    return sum(shard.records if shard else tfrecords.count(told.path) for told, shard in _described(found))


def _described(found: Iterable[files.Facts]) -> Iterator[tuple[files.Facts, manifest.Shard | None]]:
    known: dict[str, manifest.Manifest | None] = {}
    for told in found:
        folder = addresses.parent(told.path)
        if folder not in known:
            known[folder] = manifest.read(folder)
        listed = known[folder]
        yield told, listed.shard(addresses.name(told.path)) if listed else None


def _of_folder(option: str, folder: str, group: Sequence[files.Facts]) -> list[files.Facts]:
    splits = collections.defaultdict[str, list[files.Facts]](list)
    for told in group:
        name = _SHARD.fullmatch(addresses.name(told.path))
        splits[name['split'] if name else ''].append(told)
    if set(splits) == {''}:
        return list(group)
    listed = manifest.read(folder)
    there = frozenset(files.names(folder))
    taken = list(splits.pop('', []))
    for split, mine in splits.items():
        if listed and split in listed.splits:
            taken += _named(option, folder, listed.splits[split].shards, mine, there)
        else:
            taken += _alone(option, folder, mine, there)
    return sorted(taken, key=lambda told: told.path)


def _named(
    option: str,
    folder: str,
    shards: Sequence[manifest.Shard],
    mine: Sequence[files.Facts],
    there: frozenset[str],
) -> list[files.Facts]:
    """Takes the files that the manifest names."""
    by_name = {shard.name: shard for shard in shards}
    missing = [name for name in by_name if name not in there]
    if missing:
        raise errors.InputError(
            f'{option}: {folder} lacks {missing[0]} ({len(missing)} of {len(by_name)} files that its '
            f'{manifest.NAME} names); run `panpipe convert` again'
        )
    taken = [told for told in mine if addresses.name(told.path) in by_name]
    if not taken:
        raise errors.InputError(
            f'{option}: {mine[0].path} is of a set that {folder}/{manifest.NAME} does not name, which has '
            f'{shards[0].name}; correct the pattern'
        )
    for told in taken:
        wanted = by_name[addresses.name(told.path)].bytes
        if told.size != wanted:
            raise errors.InputError(
                f'{option}: {told.path} has {told.size} bytes, {manifest.NAME} beside it says {wanted}; run '
                '`panpipe convert` again'
            )
    return taken


def _alone(option: str, folder: str, mine: Sequence[files.Facts], there: frozenset[str]) -> list[files.Facts]:
    """Takes the files of a split that no manifest describes: they must be of one set, which is complete."""
    sets: dict[tuple[int, str], tuple[str, str]] = {}
    for told in mine:
        name = _SHARD.fullmatch(addresses.name(told.path))
        assert name
        sets.setdefault((int(name['count']), name['ending'] or ''), (name['split'], told.path))
    if len(sets) > 1:
        one, other = (addresses.name(path) for _, path in list(sets.values())[:2])
        raise errors.InputError(
            f'{option}: {folder} holds two sets, {one} and {other}; delete one, or give a pattern of one'
        )
    ((count, ending), (split, _)) = next(iter(sets.items()))
    wanted = [f'{split}-{index:05d}-of-{count:05d}{ending}' for index in range(count)]
    missing = [name for name in wanted if name not in there]
    if missing:
        raise errors.InputError(
            f'{option}: {folder} lacks {missing[0]} ({len(missing)} of {count} files of that set); '
            'convert the data again'
        )
    return list(mine)
