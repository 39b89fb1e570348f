# SPDX-License-Identifier: Apache-2.0
import subprocess
import sys

import pytest

from panpipe.components import command


def test_help_lists_every_job_and_imports_no_framework():
    code = (
        'import sys\n'
        'from panpipe.components import command\n'
        'try:\n'
        '    command.main(["--help"])\n'
        'except SystemExit as stop:\n'
        '    assert stop.code == 0\n'
        'heavy = {"tensorflow", "keras", "apache_beam", "kfp", "matplotlib"} & set(sys.modules)\n'
        'assert not heavy, heavy\n'
    )
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, timeout=20)
    assert done.returncode == 0, done.stderr
    for name, job in command.JOBS.items():
        assert f'  {name} ' in done.stdout
        assert job.purpose in done.stdout


def test_version(capsys):
    with pytest.raises(SystemExit) as stop:
        command.main(['--version'])
    assert stop.value.code == 0
    assert capsys.readouterr().out.startswith('panpipe ')


@pytest.mark.parametrize(
    ('name', 'advice'), [('conver', "did you mean 'convert'?"), ('qqq', 'it is one of toy, dataset')]
)
def test_unknown_job_is_one_line_and_status_2(name, advice, capsys):
    assert command.main([name]) == 2
    error = capsys.readouterr().err
    assert advice in error
    assert error.count('\n') == 1


def test_no_job_prints_help_and_status_2(capsys):
    assert command.main([]) == 2
    assert 'jobs:' in capsys.readouterr().err


def test_the_rest_of_the_line_goes_to_the_job(capsys):
    assert command.main(['doctor', '--config', 'absent.textproto']) == 2
    assert capsys.readouterr().err.startswith('panpipe doctor: error: ')


def test_notes_of_libraries_are_held_back_and_errors_are_not():
    code = (
        'import os\n'
        'from panpipe.model.jobs import quiet\n'
        'with quiet.start():\n'
        '    os.write(2, b"I0000 00:00:1.2 3 a.cc:1] note\\nW0000 00:00:1.2 3 a.cc:1] note\\n")\n'
        '    os.write(2, b"E0000 00: bad\\n")\n'
        '    1 / 0\n'
    )
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, timeout=20)
    assert 'note' not in done.stderr
    assert 'E0000 00: bad' in done.stderr
    assert 'ZeroDivisionError' in done.stderr
