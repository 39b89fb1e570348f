# SPDX-License-Identifier: Apache-2.0
"""The machines of these tests, and a toy data set that has gone the whole way on this one alone."""

import os
import pathlib
import random

import fsspec
import pytest

from distributed import bed as beds
from distributed import way
from panpipe.model import datasets
from panpipe.model.storage import files
from panpipe.pipelines import toy

SEED = 'PANPIPE_SEED'
SPEC = datasets.SPECS['cityscapes_panoptic']


@pytest.fixture(name='seed', scope='session')
def fixture_seed():
    """Tells what was left to chance, to do the same again."""
    found = int(os.environ.get(SEED) or random.randrange(10**6))
    print(f'{SEED}={found}')
    return found


@pytest.fixture(name='bed', scope='session')
def fixture_bed(seed, tmp_path_factory):
    """Serves runner, storage with the bucket `data`, and two workers."""
    if not os.environ.get(beds.BINARIES):
        pytest.skip('needs a network of its own and built servers: make test-distributed')
    binaries = pathlib.Path(os.environ[beds.BINARIES])
    bed = beds.Bed(binaries, tmp_path_factory.mktemp('bed'), seed)
    with pytest.MonkeyPatch.context() as patch:
        for name in ('STORAGE_EMULATOR_HOST', 'GRPC_DNS_RESOLVER'):
            patch.setenv(name, beds.ENVIRONMENT[name])
        try:
            files.system('gs://data').mkdir('data')
            yield bed
        finally:
            bed.close()
            fsspec.filesystem('gs', skip_instance_cache=True).clear_instance_cache()


@pytest.fixture(name='here', scope='session')
def fixture_here(bed, tmp_path_factory):
    """Makes toy data, a model, records and predictions in this process, and uploads them."""
    import thresholds  # and TensorFlow, which those who only look for tests need not wait for

    root = str(tmp_path_factory.mktemp('here'))
    size = ('--images=24', '--height=64', '--width=128')
    assert toy.main([*way.DATASET, '--output', f'{root}/raw', *size]) == 0
    thresholds.save(pathlib.Path(root, 'model'), SPEC)
    for job in ('convert', 'predict'):
        assert way.JOBS[job].main(way.arguments(job, root, root)) == 0
    files.copy_tree(root, beds.INPUTS)
    return root
