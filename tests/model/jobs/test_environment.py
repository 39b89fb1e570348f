# SPDX-License-Identifier: Apache-2.0
"""Failures of the machine are one line, also where a worker tells of them."""

import subprocess
import sys

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
            RuntimeError('{{function_node __wrapped__}} /a b/ckpt-2; No space left on device [Op:MergeV2]'),
            '/a b/ckpt-2: No space left on device; free some space',
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


_PRINTING = """
import sys
from panpipe.model.jobs import command_line
sys.exit(command_line.run('show', lambda: [print('image', number) for number in range(int(sys.argv[1]))]))
"""


@pytest.mark.parametrize('lines', [1, 99999])
@pytest.mark.parametrize(
    ('output', 'status', 'told'),
    [('>/dev/full', 2, ': No space left on device; free some space'), ('| true', 141, '')],
)
def test_what_is_printed_cannot_be_written(tmp_path, output, status, told, lines):
    (tmp_path / 'job.py').write_text(_PRINTING)
    script = f'{sys.executable} job.py {lines} {output}; exit ${{PIPESTATUS[0]}}'
    done = subprocess.run(['bash', '-c', script], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == status
    assert told in done.stderr
    assert done.stderr.count('\n') == (status == 2)


def test_a_pipe_of_another_program_is_no_output():
    with pytest.raises(BrokenPipeError):
        command_line.run('predict', _fail(BrokenPipeError(32, 'Broken pipe')))
