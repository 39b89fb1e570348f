# SPDX-License-Identifier: Apache-2.0
"""What is wrong with places and options is told in one line, and soon."""

import pytest

from distributed import bed as beds
from distributed import way

pytestmark = pytest.mark.distributed
SECONDS = 12  # of which storage and job servers have ten to answer
INPUT = ('--input', f'{beds.INPUTS}/raw')
OUTPUT = ('--output', 'gs://data/never')
EMULATOR = 'STORAGE_EMULATOR_HOST'
# Options, environment, and what is told.
MISTAKES = {
    'bucket of input': (['--input', 'gs://none/raw', *OUTPUT], {}, 'there is no bucket none'),
    'bucket of output': ([*INPUT, '--output', 'gs://none/x'], {}, 'there is no bucket none'),
    'option': ([*INPUT, *OUTPUT, '--runer=x'], {}, '--runer: neither an option'),
    'value': ([*INPUT, *OUTPUT, '--direct_num_workers=x'], {}, 'direct_num_workers'),
    'job server': (
        [*INPUT, *OUTPUT, '--runner=PortableRunner', '--job_endpoint=localhost:9'],
        {},
        'no job server answers there',
    ),
    'jar': (
        [*INPUT, *OUTPUT, '--runner=FlinkRunner', '--flink_job_server_jar=/none.jar'],
        {},
        '--flink_job_server_jar /none.jar is no file',
    ),
    'storage': ([*INPUT, *OUTPUT], {EMULATOR: 'http://10.77.1.1:9'}, 'check the network'),
    'credentials': ([*INPUT, *OUTPUT], {EMULATOR: ''}, 'check'),
}


@pytest.fixture(name='start', scope='module')
def fixture_start(bed):
    """Measures how long a job takes to start, which is two seconds where nobody else works."""
    return beds.run('convert', '--help').seconds


@pytest.mark.parametrize('mistake', MISTAKES)
def test_a_mistake_is_told_in_one_line(start, mistake):
    options, environment, line = MISTAKES[mistake]
    ended = beds.run('convert', *way.DATASET, *options, environment=environment)
    print(f'{mistake}: {ended.seconds:.1f} s, {start:.1f} s of these to start: {ended.told.strip()[:200]}')
    assert ended.status == 2, ended.told
    assert line in ended.told
    assert ended.told.count('\n') == 1
    assert ended.seconds < start + SECONDS
