# SPDX-License-Identifier: Apache-2.0
"""The algorithms in plain C++ neither depend on how an image is split, nor do anything undefined."""

import os
import pathlib
import shutil
import subprocess

import pytest

from panpipe.custom_ops import build


@pytest.mark.parametrize('name', ['merge_test', 'heads_test', 'inputs_test', 'depthwise_test'])
def test_bands_and_sanitizers(name, tmp_path):
    compiler = shutil.which(os.environ.get('CXX', 'g++'))
    if compiler is None:
        pytest.skip('there is no C++ compiler')
    program = tmp_path / name
    source = pathlib.Path(__file__).with_name(f'{name}.cc')
    flags = ['-std=c++17', '-O1', '-Wall', '-Wextra', '-Werror', '-ffp-contract=off']
    flags += ['-fsanitize=address,undefined', '-fno-sanitize-recover=all', f'-I{build.SOURCES}']
    subprocess.run([compiler, *flags, str(source), '-o', str(program)], check=True)
    done = subprocess.run([program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
