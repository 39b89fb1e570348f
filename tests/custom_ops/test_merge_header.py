# SPDX-License-Identifier: Apache-2.0
"""The algorithm in plain C++ neither depends on how an image is split, nor does anything undefined."""

import os
import pathlib
import shutil
import subprocess

import pytest

from panpipe.custom_ops import build


def test_bands_and_sanitizers(tmp_path):
    compiler = shutil.which(os.environ.get('CXX', 'g++'))
    if compiler is None:
        pytest.skip('there is no C++ compiler')
    program = tmp_path / 'merge_test'
    source = pathlib.Path(__file__).with_name('merge_test.cc')
    flags = ['-std=c++17', '-O1', '-Wall', '-Wextra', '-Werror', '-fsanitize=address,undefined']
    flags += ['-fno-sanitize-recover=all', f'-I{build.SOURCES}']
    subprocess.run([compiler, *flags, str(source), '-o', str(program)], check=True)
    done = subprocess.run([program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
