# SPDX-License-Identifier: Apache-2.0
"""Faults of record files: against their manifest, in their frames, in the images and labels in them."""

import collections
import concurrent.futures
import os
from collections.abc import Sequence
from typing import NamedTuple

import google_crc32c

from panpipe.model import errors
from panpipe.model.inputs import records
from panpipe.model.storage import addresses, manifest, record_sets, tfrecords
from panpipe.pipelines.faults import fault
from panpipe.pipelines.record_files import lookup

_CURE = 'convert the data again'


class Looked(NamedTuple):
    """Holds what was found in a file.

    Attributes:
      names: of its images, in order.
      labelled: how many have a label.
      faults: in the order of the file.
    """

    names: tuple[str, ...]
    labelled: int
    faults: tuple[fault.Fault, ...]


def check(patterns: str) -> tuple[list[fault.Fault], str]:
    """Reads all records that patterns match, and decodes every image and label.

    Returns:
      The faults, and a line that sums up what there is.

    Raises:
      errors.InputError: patterns match nothing, or a set that is incomplete.
    """
    paths = [told.path for told in record_sets.find('--records', patterns)]
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        looked = list(pool.map(look, paths))
    found = [one for mine in looked for one in mine.faults] + _twins(paths, looked)
    images, labelled = sum(len(mine.names) for mine in looked), sum(mine.labelled for mine in looked)
    return found, f'{len(paths)} files are sound: {images} images, {labelled} of them with a label'


def look(path: str) -> Looked:
    """Reads a file of records."""
    names: list[str] = []
    found: list[fault.Fault] = []
    labelled = number = checksum = 0
    try:
        for number, serialized in enumerate(lookup.read([path]), 1):
            # Frames that are intact are what `frame` makes, so the file need not be read again.
            checksum = google_crc32c.extend(checksum, tfrecords.frame(serialized))
            try:
                record = records.parse(serialized)
                names.append(record.image_id)
                labelled += record.panoptic is not None
                found += _image(path, record)
            except errors.InputError as error:
                found.append(fault.Fault(f'{path}, record {number}', str(error), _CURE))
    except errors.InputError as error:
        return Looked(tuple(names), labelled, (*found, fault.Fault(path, str(error), _CURE)))
    return Looked(tuple(names), labelled, (*found, *_against_manifest(path, number, f'{checksum:08x}')))


def _image(path: str, record: records.Record) -> list[fault.Fault]:
    where = f'{path}, image {record.image_id}'
    height, width, _ = records.decode_image(record.encoded, where).shape
    if (height, width) == (record.height, record.width):
        return []
    told = f'is {height} x {width} (height x width), but stored as {record.height} x {record.width}'
    return [fault.Fault(where, told, _CURE)]


def _against_manifest(path: str, number: int, checksum: str) -> list[fault.Fault]:
    """Compares number of records and checksum of a file with what the manifest beside it states."""
    listed = manifest.read(addresses.parent(path))
    shard = listed.shard(addresses.name(path)) if listed else None
    if shard is None:
        return []
    found = []
    if number != shard.records:
        found.append(fault.Fault(path, f'holds {number} records, the manifest says {shard.records}', _CURE))
    if checksum != shard.crc32c:
        found.append(
            fault.Fault(path, f'has the checksum {checksum}, the manifest says {shard.crc32c}', _CURE)
        )
    return found


def _twins(paths: Sequence[str], looked: Sequence[Looked]) -> list[fault.Fault]:
    """Finds images that several records of a split's files hold."""
    counted = collections.Counter(
        (addresses.name(path).partition('-')[0], name)
        for path, mine in zip(paths, looked, strict=True)
        for name in mine.names
    )
    return [
        fault.Fault(f'{split}: image {name}', f'is in {count} records', 'keep one')
        for (split, name), count in counted.items()
        if count > 1
    ]
