# SPDX-License-Identifier: Apache-2.0
"""The steps' image builds, and the whole pipeline runs in it as no root, with nothing to write to but /tmp.

Run by `make test-containers`, as root, where podman and runc are; they need no daemon. The base image is made
by debootstrap once and kept, unless $PANPIPE_BASE_IMAGE names another, such as the Dockerfile's own;
$PANPIPE_IMAGE names an image that is there already.
"""

import os
import pathlib
import shutil
import subprocess
import tempfile
import time
from typing import NamedTuple

import kfp.local
import pytest
import yaml
from kfp import components

from panpipe.components import compilation, experiment

pytestmark = pytest.mark.containers

ROOT = pathlib.Path(__file__).parents[2]
BASE, IMAGE = 'localhost/panpipe-base:bookworm', 'localhost/panpipe:test'
PROGRAMS = ('podman', 'runc', 'debootstrap')
# What virtual machines without systemd can give.
SETTINGS = """
[containers]
default_ulimits = ["nofile=1024:1024", "nproc=1000:1000"]
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
"""
# `docker run --user 1000:1000 --read-only --network none --tmpfs /tmp`
CONFINED = {
    'user': '1000:1000',
    'read_only': True,
    'network_mode': 'none',
    'tmpfs': {'/tmp': 'mode=1777'},
    'cap_drop': ['ALL'],
    'security_opt': ['no-new-privileges'],
}
STEPS = {
    'trainer_options.solver_options.training_number_of_steps': 2,
    'trainer_options.save_checkpoints_steps': 2,
}


class Podman(NamedTuple):
    """Calls podman with settings of its own.

    Attributes:
      environment: names the file of the settings.
    """

    environment: dict[str, str]

    def __call__(self, *arguments, check=True):
        done = subprocess.run(['podman', *arguments], env=self.environment, capture_output=True, text=True)
        if check and done.returncode:
            pytest.fail(f'podman {" ".join(arguments)}:\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}')
        return done


@pytest.fixture(scope='module')
def podman(tmp_path_factory):
    missing = [name for name in PROGRAMS if shutil.which(name) is None]
    if missing:
        pytest.skip(f'no {", ".join(missing)}: apt install podman runc debootstrap')
    if os.geteuid():
        pytest.skip('debootstrap needs root')
    settings = tmp_path_factory.mktemp('podman') / 'containers.conf'
    settings.write_text(SETTINGS)
    podman = Podman({**os.environ, 'CONTAINERS_CONF': str(settings)})
    works = podman('info', check=False)
    if works.returncode:
        pytest.skip(f'podman does not run here: {works.stderr.strip().splitlines()[-1]}')
    return podman


@pytest.fixture(scope='module')
def base(podman):
    given = os.environ.get('PANPIPE_BASE_IMAGE')
    if given:
        return given
    if podman('image', 'exists', BASE, check=False).returncode:
        with tempfile.TemporaryDirectory() as folder:
            _bootstrap(podman, pathlib.Path(folder))
    return BASE


def _bootstrap(podman, folder):
    """Makes a base image from Debian's packages, with the certificates that this machine trusts."""
    root, archive = folder / 'root', folder / 'root.tar'
    wanted = '--include=python3,python3-venv,g++,ca-certificates'
    done = subprocess.run(
        ['debootstrap', '--variant=minbase', wanted, 'bookworm', str(root)], capture_output=True, text=True
    )
    if done.returncode:
        pytest.skip(f'debootstrap could not make a base image: {done.stdout.strip().splitlines()[-1]}')
    bundle = pathlib.Path('etc/ssl/certs/ca-certificates.crt')
    shutil.copy('/' / bundle, root / bundle)
    subprocess.run(['tar', '--create', '--file', archive, '--directory', root, '.'], check=True)
    trust = [f'--change=ENV {name}=/{bundle}' for name in ('SSL_CERT_FILE', 'PIP_CERT')]
    podman('import', *trust, str(archive), BASE)


@pytest.fixture(scope='module')
def image(podman, request):
    given = os.environ.get('PANPIPE_IMAGE')
    if given:
        return given
    base = request.getfixturevalue('base')
    settings = ['--file', 'manifests/Dockerfile', '--target', 'cpu', '--tag', IMAGE, '--network', 'host']
    podman('build', *settings, '--build-arg', f'PYTHON_IMAGE={base}', str(ROOT))
    return IMAGE


@pytest.fixture
def service(podman, tmp_path, monkeypatch):
    """Serves Docker's interface, which kfp's runner speaks."""
    address = f'unix://{tmp_path}/podman.sock'
    command = ['podman', 'system', 'service', '--time', '0', address]
    with subprocess.Popen(command, env=podman.environment, stderr=subprocess.DEVNULL) as process:
        for _ in range(100):
            if (tmp_path / 'podman.sock').exists():
                break
            time.sleep(0.1)
        monkeypatch.setenv('DOCKER_HOST', address)
        yield
        process.terminate()


def test_the_image_is_no_roots_and_holds_what_steps_call(podman, image):
    (facts,) = yaml.safe_load(podman('image', 'inspect', image).stdout)
    assert facts['Config']['User'] == '1000:1000'
    asked = 'id -u; command -v python3; command -v panpipe; ls -d /build /root/.cache/uv; true'
    held = podman('run', '--rm', '--network=none', image, 'sh', '-c', asked)
    assert held.stdout.split() == ['1000', '/opt/panpipe/bin/python3', '/opt/panpipe/bin/panpipe']


def test_the_pipeline_runs_confined(image, service, tmp_path):
    output = tmp_path / 'run'
    output.mkdir()
    shutil.chown(output, 1000, 1000)
    for folder in (tmp_path, *tmp_path.parents):
        if folder.stat().st_uid == os.geteuid() and folder != pathlib.Path('/'):
            folder.chmod(folder.stat().st_mode | 0o011)
    spec = next(yaml.safe_load_all(compilation.compiled(compilation.Cluster(image=image, has_summary=False))))
    for task in spec['root']['dag']['tasks'].values():
        task.pop('retryPolicy', None)
    kfp.local.init(runner=kfp.local.DockerRunner(**CONFINED), pipeline_root=str(output))
    components.load_component_from_text(yaml.safe_dump(spec))(
        config=experiment.source(experiment.toy('cityscapes_panoptic')),
        dataset='cityscapes_panoptic',
        overrides=[f'{name}={value}' for name, value in STEPS.items()],
        toy_images=4,
        toy_height=128,
        toy_width=256,
    )
    made = {path.name for path in output.rglob('*') if path.is_file()}
    assert {'panoptic.json', 'saved_model.pb'} <= made
    assert all(path.stat().st_uid == 1000 for path in output.rglob('*.png'))
