# SPDX-License-Identifier: Apache-2.0
"""The framing of TFRecord files: length, checksum, content, checksum.

Source: https://www.tensorflow.org/tutorials/load_data/tfrecord, "TFRecords format details".
"""

import os
import struct
from collections.abc import Iterator
from typing import IO

import google_crc32c

from panpipe.model import errors
from panpipe.model.storage import addresses, files

_LENGTH, _CHECKSUM = struct.Struct('<Q'), struct.Struct('<I')
_HEADER, _TRAILER = _LENGTH.size + _CHECKSUM.size, _CHECKSUM.size
_MASK = 0xA282EAD8
# A damaged length must not make a reader ask for all memory.
_LARGEST = 2**31


def frame(record: bytes) -> bytes:
    """Frames a serialised record as it stands in a file."""
    length = _LENGTH.pack(len(record))
    return b''.join((length, _checksum(length), record, _checksum(record)))


def unframe(file: IO[bytes]) -> Iterator[bytes]:
    """Reads the records of an open file in order.

    Raises:
      ValueError: the file holds something else, is damaged or cut short.
    """
    place = 0
    while header := file.read(_HEADER):
        length = _length(header, place)
        body = file.read(length + _TRAILER)
        if len(body) < length + _TRAILER:
            raise ValueError(f'it is cut short in the record at byte {place}')
        record = body[:length]
        if _checksum(record) != body[length:]:
            raise ValueError(f'the checksum of the record at byte {place} is wrong')
        yield record
        place += _HEADER + length + _TRAILER


def read(path: addresses.Address) -> Iterator[bytes]:
    """Reads the records of a file in order, serialised.

    Raises:
      errors.InputError: the file is missing, holds no records, or is damaged.
    """
    try:
        with files.opened(path) as file:
            yield from unframe(file)
    except errors.InputError:
        raise
    except OSError as error:
        raise files.unreadable(path, error) from error
    except ValueError as error:
        raise errors.InputError(
            f'{os.fspath(path)} is no intact record file ({files.reason(error)}); convert the data again'
        ) from error


def count(path: addresses.Address) -> int:
    """Counts the records of a file by its headers, without reading what they hold.

    Raises:
      errors.InputError: the file holds something else, is damaged or cut short.
    """
    size = files.facts(path).size
    number = place = 0
    try:
        with files.opened(path) as file:
            while place < size:
                file.seek(place)
                place += _HEADER + _length(file.read(_HEADER), place) + _TRAILER
                number += 1
        if place != size:
            raise ValueError('it is cut short')
    except ValueError as error:
        raise errors.InputError(
            f'{os.fspath(path)} is no intact record file ({error}); convert the data again'
        ) from error
    return number


def _length(header: bytes, place: int) -> int:
    if len(header) < _HEADER or _checksum(header[: _LENGTH.size]) != header[_LENGTH.size :]:
        raise ValueError(f'there is no record at byte {place}')
    (length,) = _LENGTH.unpack(header[: _LENGTH.size])
    if length > _LARGEST:
        raise ValueError(f'the record at byte {place} claims {length} bytes')
    return int(length)


def _checksum(content: bytes) -> bytes:
    found = google_crc32c.value(content)
    return _CHECKSUM.pack(((found >> 15 | found << 17) + _MASK) & 0xFFFFFFFF)
