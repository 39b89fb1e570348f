# SPDX-License-Identifier: Apache-2.0
"""The op is built whole or not at all, and only when it has to be."""

import os
import re
import types

import pytest
import tensorflow as tf

from panpipe.custom_ops import build, library
from panpipe.model import errors, probe


def test_library_is_named_after_the_version_of_tensorflow(monkeypatch):
    monkeypatch.setattr('tensorflow.__version__', '2.21.0-rc1')
    assert library.path().name == '_panpipe_ops_tf2_21_0_rc1.so'


def test_is_current_compares_with_the_newest_source(tmp_path, monkeypatch):
    sources = tmp_path / 'cc'
    sources.mkdir()
    target = tmp_path / 'ops.so'
    (sources / 'old.h').touch()
    (sources / 'new.cc').touch()
    (tmp_path / 'more').mkdir()
    (tmp_path / 'more' / 'kernels.cu').touch()
    folders = (sources, tmp_path / 'more')
    assert not build.is_current(target, *folders)
    target.touch()
    os.utime(sources / 'old.h', (0, 0))
    os.utime(sources / 'new.cc', (2000, 2000))
    os.utime(target, (3000, 3000))
    assert build.is_current(target, sources)
    assert not build.is_current(target, *folders)
    os.utime(sources / 'new.cc', (4000, 4000))
    assert not build.is_current(target, sources)


def test_does_nothing_when_up_to_date(monkeypatch, capsys):
    if not library.available():
        pytest.fail('the compiled op is missing: run `make op` first')
    monkeypatch.setattr(build.nvcc, 'find', lambda wanted: None)
    os.utime(library.path())
    assert build.main([]) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert first == f'{library.path().name} is up to date'
    assert second.startswith('CUDA kernels not built: there is no nvcc')


def test_library_holds_what_the_sources_register():
    registered = {
        name
        for path in build.SOURCES.glob('*.cc')
        for name in re.findall(r'REGISTER_OP\("(\w+)"\)', path.read_text())
    }
    assert registered
    assert sorted(re.sub(r'\B([A-Z])', r'_\1', name).lower() for name in registered) == sorted(library.OPS)


def test_library_older_than_an_op_is_told_in_one_line(tmp_path, monkeypatch):
    older = types.SimpleNamespace(**dict.fromkeys(library.OPS))
    del older.panpipe_targets
    monkeypatch.setattr(library, 'FOLDER', tmp_path)
    monkeypatch.setattr(tf, 'load_op_library', lambda path: older)
    library.path().touch()
    with pytest.raises(
        errors.InputError, match=r'it lacks panpipe_targets; build it anew: python -m .*--force$'
    ):
        library.load()
    assert probe.op_mistake().startswith(f'{library.path()} is older than this panpipe')


def test_absent_compiler_is_told_in_one_line(monkeypatch, capsys):
    monkeypatch.setenv('CXX', 'no-such-compiler')
    assert build.main(['--force']) == 2
    assert 'no C++ compiler no-such-compiler' in capsys.readouterr().err


def test_failed_compilation_leaves_the_old_library(tmp_path, monkeypatch):
    (tmp_path / 'broken.cc').write_text('this is no C++;\n')
    monkeypatch.setattr(build, 'SOURCES', tmp_path)
    target = tmp_path / 'ops.so'
    target.write_text('old')
    with pytest.raises(RuntimeError, match=r'broken\.cc'):
        build.compile_library(target)
    assert target.read_text() == 'old'
    assert sorted(path.name for path in tmp_path.iterdir()) == ['broken.cc', 'ops.so']


def test_absent_folder_is_a_users_mistake(tmp_path):
    with pytest.raises(errors.InputError, match='not writable'):
        build.compile_library(tmp_path / 'absent' / 'ops.so')


def test_kernels_that_nobody_asked_for_do_not_stop_the_build(monkeypatch, capsys):
    def fail(compiler, target):
        raise RuntimeError('nvcc failed: unsupported host compiler')

    monkeypatch.setattr(build.nvcc, 'find', lambda wanted: '/opt/nvcc')
    monkeypatch.setattr(build, 'is_current', lambda target, *folders: target == library.path())
    monkeypatch.setattr(library, 'is_for_cuda', lambda: True)
    monkeypatch.setattr(build, 'compile_cuda_library', fail)
    assert build.main([]) == 0
    assert 'CUDA kernels not built: nvcc failed: unsupported host compiler' in capsys.readouterr().out
    with pytest.raises(RuntimeError, match='unsupported host compiler'):
        build.main(['--nvcc', '/opt/nvcc'])
