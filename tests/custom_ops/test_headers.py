# SPDX-License-Identifier: Apache-2.0
"""The algorithms in plain C++ neither depend on how an image is split, nor do anything undefined.

Those for GPUs run here on the host, in several orders and in several threads.
"""

import os
import pathlib
import shutil
import subprocess

import pytest

from panpipe.custom_ops import build

UNDEFINED = '-fsanitize=address,undefined,float-cast-overflow'


_SLOW = ('cuda_test', 'heads_test')  # under sanitizers


@pytest.mark.parametrize(
    'name',
    [
        'merge_test',
        'inputs_test',
        'depthwise_test',
        *(pytest.param(name, marks=pytest.mark.slow) for name in _SLOW),
    ],
)
def test_bands_and_sanitizers(name, tmp_path):
    run(name, tmp_path, UNDEFINED)


@pytest.mark.parametrize('name', ['fuzz_test', 'masks_test'])
@pytest.mark.parametrize(
    ('seed', 'rounds'), [('1', '30'), pytest.param('2', '20000', marks=pytest.mark.slow)]
)
def test_random_shapes_rules_and_heads(seed, rounds, name, tmp_path):
    run(name, tmp_path, UNDEFINED, seed, rounds)


@pytest.mark.slow
def test_threads_of_a_gpu_do_not_race(tmp_path):
    run('cuda_test', tmp_path, '-fsanitize=thread')


def run(name, tmp_path, sanitizer, *arguments):
    """Compiles one of the programs beside this file, and runs it."""
    compiler = shutil.which(os.environ.get('CXX', 'g++'))
    if compiler is None:
        pytest.skip('there is no C++ compiler')
    program = tmp_path / name
    source = pathlib.Path(__file__).with_name(f'{name}.cc')
    flags = ['-std=c++17', '-O1', '-Wall', '-Wextra', '-Werror', '-ffp-contract=off']
    flags += [sanitizer, '-fno-sanitize-recover=all', '-pthread', f'-I{build.SOURCES}']
    subprocess.run([compiler, *flags, str(source), '-o', str(program)], check=True)
    done = subprocess.run([program, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
