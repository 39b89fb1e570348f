# SPDX-License-Identifier: Apache-2.0
"""The source distribution, which Beam stages for workers, holds all of panpipe and installs by itself."""

import pathlib
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import zipfile

import pytest

ROOT = pathlib.Path(__file__).parents[1]
ROOMS = ('components', 'custom_ops', 'model', 'pipelines')
_BUILD = "import setuptools.build_meta as build; build.build_{kind}('dist')"
_LOOK = """
import sys
sys.path.append(sys.argv[1])
from panpipe.custom_ops import build
from panpipe.model import datasets
things = datasets.SPECS['coco_panoptic'].labels.thing_ids
print(build.__file__, len(list(build.SOURCES.glob('*.cc'))), len(things))
"""


@pytest.fixture(scope='module')
def tracked():
    listed = subprocess.run(['git', 'ls-files', *ROOMS], cwd=ROOT, capture_output=True, text=True, check=True)
    return listed.stdout.splitlines()


@pytest.fixture(scope='module')
def sdist(tracked, tmp_path_factory):
    folder = tmp_path_factory.mktemp('source')
    for name in (*tracked, 'setup.py', 'pyproject.toml', 'README.md', 'LICENSE'):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, folder / name)
    return _built('sdist', folder)


def _built(kind, folder):
    """Builds as pip and uv do, in a folder with the sources."""
    (folder / 'dist').mkdir()
    subprocess.run(
        [sys.executable, '-c', _BUILD.format(kind=kind)], cwd=folder, capture_output=True, check=True
    )
    (archive,) = (folder / 'dist').iterdir()
    return archive


def test_it_holds_every_file_of_the_rooms(sdist, tracked):
    with tarfile.open(sdist) as archive:
        held = {name.partition('/')[2] for name in archive.getnames()}
    assert set(tracked) <= held
    assert {'custom_ops/cc/merge.h', 'model/categories/coco.json'} <= held


def test_it_installs_without_its_surroundings(sdist, tmp_path):
    """Installs it beside nothing but this environment's packages; panpipe must not be found elsewhere."""
    target = tmp_path / 'installed'
    with tarfile.open(sdist) as archive:
        archive.extractall(tmp_path, filter='data')
    (source,) = tmp_path.iterdir()
    with zipfile.ZipFile(_built('wheel', source)) as wheel:
        wheel.extractall(target)
    said = subprocess.run(
        [sys.executable, '-S', '-c', _LOOK, sysconfig.get_path('purelib')],
        cwd=tmp_path,
        env={'PYTHONPATH': str(target)},
        capture_output=True,
        text=True,
        check=True,
    )
    file, sources, things = said.stdout.split()
    assert file == str(target / 'panpipe' / 'custom_ops' / 'build.py')
    assert int(sources) == len(list((ROOT / 'custom_ops' / 'cc').glob('*.cc')))
    assert int(things) == 80
