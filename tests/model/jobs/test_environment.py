# SPDX-License-Identifier: Apache-2.0
"""Failures of the machine are one line, also where a worker tells of them."""

import pytest

from panpipe.model.jobs import command_line, environment


def _fail(error):
    def body():
        raise error

    return body


@pytest.mark.parametrize(
    ('error', 'told'),
    [
        (
            OSError(28, 'No space left on device', '/data/a.png'),
            '/data/a.png: No space left on device; free some',
        ),
        (OSError(36, 'File name too long', 'x' * 9), 'xxxxxxxxx: File name too long; shorten the name'),
        (PermissionError(13, 'Permission denied', 'a'), 'a: Permission denied; change its rights'),
        (
            RuntimeError("OSError: [Errno 5] Input/output error: '/b' [while running 'X']"),
            '/b: Input/output error',
        ),
        (
            RuntimeError('OSError: [Errno 28] No space left on device'),
            'No space left on device; free some space',
        ),
    ],
)
def test_failures_of_the_machine_are_one_line(capsys, error, told):
    assert command_line.run('convert', _fail(error)) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f'panpipe convert: error: {told}')


@pytest.mark.parametrize(
    'error', [RuntimeError('odd'), OSError(2, 'No such file or directory', 'a'), KeyError(28)]
)
def test_other_failures_keep_their_traceback(error):
    assert environment.told(error) is None
    with pytest.raises(type(error)):
        command_line.run('convert', _fail(error))


def test_a_cause_counts():
    error = ValueError('outer')
    error.__cause__ = OSError(28, 'No space left on device', '/full')
    assert (
        environment.told(error) == '/full: No space left on device; free some space, or choose another place'
    )
