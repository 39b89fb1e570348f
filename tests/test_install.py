# SPDX-License-Identifier: Apache-2.0
"""The locks fit the project on every supported Python, and installing without the means says what to do."""

import os
import pathlib
import re
import subprocess
import tomllib

import packaging.requirements
import packaging.utils
import pytest

ROOT = pathlib.Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / 'pyproject.toml').read_text())
LOCKS = ('requirements.lock', 'requirements-official.lock', 'requirements-uv.lock')
VERSIONS = ('3.11', '3.12', '3.13')


def _pins(lock, version):
    """Reads what the lock installs on Linux with a Python: name to version."""
    lines = [line for line in (ROOT / lock).read_text().splitlines() if line and not line.startswith('#')]
    found = {}
    for pin in map(packaging.requirements.Requirement, lines):
        place = {'python_version': version, 'python_full_version': f'{version}.0', 'sys_platform': 'linux'}
        if pin.marker is None or pin.marker.evaluate({**place, 'extra': ''}):
            (specifier,) = pin.specifier
            assert specifier.operator == '=='
            assert packaging.utils.canonicalize_name(pin.name) not in found
            found[packaging.utils.canonicalize_name(pin.name)] = specifier.version
    return found


@pytest.mark.parametrize('version', VERSIONS)
@pytest.mark.parametrize(
    ('lock', 'wanted'),
    [
        (LOCKS[0], PROJECT['project']['dependencies'] + PROJECT['project']['optional-dependencies']['dev']),
        (LOCKS[1], PROJECT['dependency-groups']['official']),
    ],
)
def test_a_lock_pins_what_the_project_wants(lock, wanted, version):
    pins = _pins(lock, version)
    for entry in map(packaging.requirements.Requirement, wanted):
        assert entry.specifier.contains(pins[packaging.utils.canonicalize_name(entry.name)], prereleases=True)


@pytest.mark.parametrize('version', VERSIONS)
def test_locally_run_pipelines_need_this_very_kfp(version):
    assert _pins(LOCKS[0], version)['kfp'] == '2.17.0'


@pytest.mark.parametrize('lock', LOCKS)
def test_a_lock_holds_pins_and_no_place(lock):
    content = (ROOT / lock).read_text()
    assert not re.search(r'://|@|/(?!/)\w+/|--\w', content)


def _make(folder, *arguments):
    """Runs the script in a folder of its own whose `bin` is all that there is."""
    (folder / 'requirements-uv.lock').write_text((ROOT / 'requirements-uv.lock').read_text())
    script = [ROOT / 'manifests' / 'environment.sh', *arguments]
    done = subprocess.run(
        ['/bin/bash', *script], cwd=folder, env={'PATH': str(folder / 'bin')}, capture_output=True, text=True
    )
    assert done.returncode == 1
    return done.stderr.strip().splitlines()[-1]


def _program(folder, name, text='exit 1'):
    program = folder / name
    program.parent.mkdir(parents=True, exist_ok=True)
    program.write_text(f'#!/bin/bash\n{text}\n')
    program.chmod(0o755)


@pytest.fixture
def folder(tmp_path):
    (tmp_path / 'bin').mkdir()
    for name in ('grep', 'date', 'cat'):
        (tmp_path / 'bin' / name).symlink_to(
            next(p for p in (f'/bin/{name}', f'/usr/bin/{name}') if os.path.exists(p))
        )
    return tmp_path


def test_no_python_at_all_is_one_line_with_the_cure(folder):
    assert 'apt install python3-venv' in _make(folder)


def test_a_python_without_venv_is_one_line_with_the_cure(folder):
    _program(folder, 'bin/python3', 'echo "ensurepip is not available" >&2; exit 1')
    assert 'apt install python3-venv' in _make(folder)


def test_no_network_is_one_line(folder):
    _program(
        folder,
        'bin/python3',
        'mkdir -p .uv/bin; printf "#!/bin/bash\\nexit 1\\n" > .uv/bin/python; chmod +x .uv/bin/python',
    )
    for name in ('mkdir', 'chmod'):
        (folder / 'bin' / name).symlink_to(f'/bin/{name}')
    assert 'is there a network?' in _make(folder)


def test_no_supported_python_is_one_line_that_names_them(folder):
    _program(folder, '.uv/bin/uv')
    assert re.search(r'no Python 3\.13,.*3\.11.*apt install', _make(folder, '.venv', 'requirements.lock'))


def test_a_python_that_was_asked_for_is_named(folder):
    _program(folder, '.uv/bin/uv')
    assert 'no Python python3.12' in _make(folder, '.venv', 'requirements.lock', 'python3.12')
