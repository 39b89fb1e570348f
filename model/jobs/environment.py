# SPDX-License-Identifier: Apache-2.0
"""Failures of the machine, not of the program: a full disk, a long name, a missing permission."""

import errno
import os
import re
from collections.abc import Mapping

_CURES: Mapping[int, str] = {
    errno.ENOSPC: 'free some space, or choose another place',
    errno.EDQUOT: 'free some of your quota, or choose another place',
    errno.EFBIG: 'allow larger files (ulimit -f), or choose another place',
    errno.ENAMETOOLONG: 'shorten the name',
    errno.EACCES: 'change its rights, or choose another place',
    errno.EPERM: 'change its rights, or choose another place',
    errno.EROFS: 'choose another place',
    errno.EIO: 'check the disk',
    errno.EMFILE: 'allow more open files (ulimit -n)',
    errno.ENFILE: 'close other programs',
}
# As the text of a worker's exception says it: "OSError: [Errno 28] No space left on device: '/data/a.png'".
_TOLD = re.compile(r"\[Errno (?P<number>\d+)\] [^:\n\['\"]+(?:: ['\"](?P<path>[^'\"\n]+)['\"])?")
# As TensorFlow says it: '/runs/ckpt-2_temp/part-00000; No space left on device'.
_NUMBERS = {os.strerror(number): number for number in _CURES}
_TOLD_BY_TENSORFLOW = re.compile(
    rf'(?P<path>/[^;{{}}\n]*|[^\s;{{}}]+); (?P<reason>{"|".join(map(re.escape, _NUMBERS))})'
)


def told(error: BaseException) -> str | None:
    """Describes in one line what failed on the machine, where, and what helps; None for any other exception.

    >>> told(RuntimeError("OSError: [Errno 28] No space left on device: 'a.png' [while running 'Write']"))
    'a.png: No space left on device; free some space, or choose another place'
    """
    seen: BaseException | None = error
    while seen is not None:
        number, path = _facts(seen)
        if number in _CURES:
            place = f'{path}: ' if path else ''
            return f'{place}{os.strerror(number)}; {_CURES[number]}'
        seen = seen.__cause__ or seen.__context__
    return None


def _facts(error: BaseException) -> tuple[int, str]:
    """Returns the number of an operating system's error, 0 for other exceptions, and the path."""
    if isinstance(error, OSError) and error.errno:
        return error.errno, str(error.filename2 or error.filename or '')
    if found := _TOLD.search(str(error)):
        return int(found['number']), found['path'] or ''
    found = _TOLD_BY_TENSORFLOW.search(str(error))
    return (_NUMBERS[found['reason']], found['path']) if found else (0, '')
