# SPDX-License-Identifier: Apache-2.0
"""The Beam jobs on workers without a shared disk write, byte for byte, what one process writes here."""

import pytest

from distributed import bed as beds
from distributed import way
from panpipe.model.storage import files

pytestmark = pytest.mark.distributed
THERE = 'gs://data/there'


@pytest.mark.parametrize('job', ['convert', 'predict'])
def test_folders_are_the_same(bed, here, job):
    seconds = beds.done(job, *way.arguments(job, beds.INPUTS, THERE), *beds.REMOTE)
    print(f'{job} on a worker: {seconds:.1f} s')
    beds.check_same(job, THERE, here)
    assert bed.are_workers_gone()


def test_figures_are_the_same(bed, here):
    assert way.JOBS['evaluate'].main(way.arguments('evaluate', here, here)) == 0
    beds.done('evaluate', *way.arguments('evaluate', beds.INPUTS, THERE), *beds.REMOTE)
    for name in ('evaluation.json', 'evaluation.images.jsonl'):
        assert files.read(f'{THERE}/{name}') == files.read(f'{here}/{name}')


def test_statistics_are_the_same(bed, here):
    """TensorFlow, which writes for TensorFlow Transform, knows no emulator: a shared folder serves."""
    assert way.JOBS['statistics'].main(way.arguments('statistics', here, here)) == 0
    beds.done('statistics', *way.arguments('statistics', beds.INPUTS, bed.shared), *beds.REMOTE)
    found = files.read(f'{bed.shared}/statistics/statistics.json')
    assert found == files.read(f'{here}/statistics/statistics.json')


@pytest.mark.parametrize('job', ['convert', 'predict'])
def test_failing_requests_are_repeated(bed, here, job):
    with bed.storage.failing(0.05):
        beds.done(job, *way.arguments(job, beds.INPUTS, f'{THERE}/faults'), *beds.REMOTE)
    print(f'{bed.storage.failed} of {bed.storage.requests} requests failed')
    assert bed.storage.failed > 10
    beds.check_same(job, f'{THERE}/faults', here)
