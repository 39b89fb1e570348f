# SPDX-License-Identifier: Apache-2.0
"""Single records out of TFRecord files, without TensorFlow."""

import json
import os
from collections.abc import Iterator, Sequence

from apache_beam.io import filesystem, filesystems, tfrecordio

from panpipe.model import errors
from panpipe.model.inputs import records
from panpipe.pipelines import files
from panpipe.pipelines.record_files import shards


def find_files(patterns: Sequence[str]) -> list[str]:
    """Lists the files that match glob patterns, sorted; a folder stands for all `*.tfrecord` in it.

    Raises:
      errors.InputError: a pattern matches no file.
    """
    found: set[str] = set()
    for pattern in patterns:
        paths = match(pattern)
        if not paths:
            raise errors.InputError(
                f'{pattern} matches no file; give records of `panpipe convert`, such as records/train-*, '
                'or a folder of `panpipe predict`'
            )
        found.update(paths)
    return sorted(found)


def match(pattern: str) -> list[str]:
    """Lists the files that a glob pattern matches, or all `*.tfrecord` where it names a folder."""
    if os.path.isdir(pattern) or pattern.endswith('/'):
        return files.find(pattern, '*.tfrecord')
    if os.path.isfile(pattern):
        return [pattern]
    matched = filesystems.FileSystems.match([pattern])[0].metadata_list
    paths = [file.path for file in matched if not os.path.isdir(file.path)]
    return paths + files.find(pattern, '*.tfrecord')


def read(paths: Sequence[str]) -> Iterator[bytes]:
    """Reads the records of files one after another, serialised.

    Raises:
      errors.InputError: a file holds no records, or is damaged.
    """
    for path in paths:
        try:
            with filesystems.FileSystems.open(
                path, compression_type=filesystem.CompressionTypes.UNCOMPRESSED
            ) as file:
                while (record := tfrecordio._TFRecordUtil.read_record(file)) is not None:
                    yield record
        except (OSError, ValueError) as error:
            raise errors.InputError(
                f'{path} is no intact record file ({str(error)[:80]}); convert the data again'
            ) from error


def dataset(path: str) -> str | None:
    """Names the data set that the manifest beside a record file tells of, or None where there is none."""
    manifest = files.join(path.rpartition('/')[0] or '.', shards.MANIFEST)
    if not files.exists(manifest):
        return None
    try:
        return str(json.loads(files.read(manifest))['dataset'])
    except (ValueError, KeyError, TypeError) as error:
        raise errors.InputError(f'{manifest} is damaged ({error}); name the data set: --dataset') from error


def find(paths: Sequence[str], wanted: str | None) -> Iterator[bytes]:
    """Reads the records of the images of that name, or for None all."""
    return (record for record in read(paths) if wanted is None or records.image_id(record) == wanted)
