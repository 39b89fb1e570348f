# SPDX-License-Identifier: Apache-2.0
"""The kernels for GPUs say bit for bit what those for the CPU say.

Most of this needs a CUDA compiler or a GPU; cuda_test.cc does what a GPU's threads do without one, and so do
cuda_alone.cu and the benchmark with stand-ins for CUDA's runtime.
"""

import os
import pathlib
import shutil
import subprocess
import sys
import types

import numpy as np
import pytest
import tensorflow as tf

import drawn
import gpu_check
from panpipe.custom_ops import build, library, nvcc
from panpipe.model import errors

CITYSCAPES = {
    'thing_ids': tuple(range(11, 19)),
    'label_divisor': 1000,
    'stuff_area_limit': 0,
    'void_label': 255,
}
PLACED = """
import tensorflow as tf
from tensorflow.python.framework import kernels
from panpipe.custom_ops import library
library.load()
for name in ('PanpipeMerge', 'PanpipeGroup', 'PanpipePanopticFromHeads'):
    found = kernels.get_registered_kernels_for_op(name).kernel
    print(name, *sorted(kernel.device_type for kernel in found))
"""


@pytest.fixture
def ops():
    """Gives the ops where there is a GPU and kernels for it."""
    if not tf.config.list_physical_devices('GPU'):
        pytest.skip('there is no GPU')
    if not library.cuda_path().is_file():
        pytest.skip('the CUDA kernels are not built: run `make op` with nvcc in $PATH')
    return library.load()


def program(folder, name='nvcc', says=''):
    """Makes an executable file."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text(f'#!/bin/sh\necho {says}\n')
    path.chmod(0o755)
    return path


def test_compiler_is_found(tmp_path, monkeypatch):
    monkeypatch.setenv('PATH', str(tmp_path))
    monkeypatch.delenv('CUDA_HOME', raising=False)
    assert nvcc.find() is None
    in_path = program(tmp_path)
    assert nvcc.find() == str(in_path)
    monkeypatch.setenv('CUDA_HOME', str(tmp_path / 'absent'))
    assert nvcc.find() == str(in_path)
    in_home = program(tmp_path / 'cuda' / 'bin')
    monkeypatch.setenv('CUDA_HOME', str(tmp_path / 'cuda'))
    assert nvcc.find() == str(in_home)
    assert nvcc.find(str(in_path)) == str(in_path)
    with pytest.raises(errors.InputError, match='no CUDA compiler /absent/nvcc'):
        nvcc.find('/absent/nvcc')


def test_command_names_what_the_compiler_knows(tmp_path):
    compiler = program(tmp_path, says='sm_75 sm_90 sm_100')
    command = nvcc.command(str(compiler), tmp_path / 'ops.so')
    assert [flag for flag in command if flag.startswith('-gencode')] == [
        '-gencode=arch=compute_75,code=sm_75',
        '-gencode=arch=compute_90,code=sm_90',
        '-gencode=arch=compute_90,code=compute_90',
    ]
    assert {'--fmad=false', '--ftz=true'} <= set(command)
    with pytest.raises(errors.InputError, match='CUDA 11'):
        nvcc.command(str(program(tmp_path, says='sm_35')), tmp_path / 'ops.so')


def test_tensorflow_without_cuda_is_told_in_one_line(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(library, 'is_for_cuda', lambda: False)
    monkeypatch.setattr(library, 'FOLDER', tmp_path)
    monkeypatch.setattr(build, 'compile_library', lambda target: None)
    assert build.main(['--nvcc', str(program(tmp_path))]) == 0
    assert 'CUDA kernels not built: the installed TensorFlow' in capsys.readouterr().out


def test_library_is_loaded_where_it_is(tmp_path, monkeypatch):
    loaded = []
    ops = types.SimpleNamespace(**dict.fromkeys(library.OPS))
    monkeypatch.setattr(library, 'FOLDER', tmp_path)
    monkeypatch.setattr(tf, 'load_op_library', lambda path: loaded.append(path) or ops)
    monkeypatch.setattr(tf, 'load_library', loaded.append)
    library.cuda_path().touch()
    library.path().touch()
    assert library.load() is ops
    assert loaded == [str(library.path()), str(library.cuda_path())]


@pytest.mark.slow
def test_kernels_compile_and_load(tmp_path):
    compiler = nvcc.find()
    if compiler is None:
        pytest.skip('there is no nvcc in $CUDA_HOME/bin or in $PATH')
    if not library.is_for_cuda():
        pytest.skip('the installed TensorFlow is not built for CUDA')
    (tmp_path / library.path().name).symlink_to(library.path())
    build.compile_cuda_library(compiler, tmp_path / library.cuda_path().name)
    # Kernels stay for the life of a process, so another one has to load them.
    moved = f'import pathlib; library.FOLDER = pathlib.Path({str(tmp_path)!r})\nlibrary.load()'
    done = subprocess.run(
        [sys.executable, '-c', PLACED.replace('library.load()', moved)],
        env=os.environ | {'PYTHONPATH': str(pathlib.Path.cwd())},
        capture_output=True,
        text=True,
        check=True,
    )
    lines = [line.split() for line in done.stdout.splitlines()]
    assert [line[1:] for line in lines] == [['CPU', 'GPU']] * 3


@pytest.mark.slow
def test_programs_without_tensorflow_compile(tmp_path, capfd):
    compiler = nvcc.find()
    if compiler is None:
        pytest.skip('there is no nvcc in $CUDA_HOME/bin or in $PATH')
    assert (
        gpu_check.main(['--nvcc', compiler, '--output', str(tmp_path), '--cases', '2', '--sanitized', '1'])
        == 0
    )
    told = capfd.readouterr().out
    assert 'ran neither: there is no GPU' in told or 'gpu-check passed' in told


def test_check_is_skipped_in_one_line_without_a_compiler(monkeypatch, capsys, tmp_path):
    monkeypatch.setenv('PATH', str(tmp_path))
    monkeypatch.delenv('CUDA_HOME', raising=False)
    assert gpu_check.main([]) == 0
    assert capsys.readouterr().out == 'gpu-check skipped: there is no nvcc in $CUDA_HOME/bin or $PATH\n'
    assert gpu_check.main(['--nvcc', '/absent/nvcc']) == 1
    assert 'no CUDA compiler /absent/nvcc' in capsys.readouterr().out


@pytest.mark.parametrize(
    ('source', 'arguments', 'told'),
    [
        (gpu_check.ALONE, ['--cases', '4'], 'images of too many segments or centers: equal'),
        pytest.param(
            gpu_check.BENCHMARK,
            ['--repeats', '2', '--height', '129', '--width', '257', '--batch', '2'],
            'all results equal',
            marks=pytest.mark.slow,
        ),
    ],
    ids=['alone', 'benchmark'],
)
def test_programs_without_tensorflow_run_on_a_stand_in(tmp_path, source, arguments, told):
    compiler = shutil.which(os.environ.get('CXX', 'g++'))
    if compiler is None:
        pytest.skip('there is no C++ compiler')
    folders = [f'-I{folder}' for folder in (gpu_check.HERE / 'stand_in', gpu_check.HERE, build.SOURCES)]
    flags = ['-std=c++17', '-O1', '-Wall', '-Wextra', '-Werror', '-ffp-contract=off', *folders, '-x', 'c++']
    program = tmp_path / 'program'
    stand_in = gpu_check.HERE / 'cuda_stand_in.cc'
    subprocess.run([compiler, *flags, source, stand_in, '-o', program], check=True)
    done = subprocess.run([program, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert told in done.stdout


# What makes the ops for a GPU those of the CPU, by file.
STAND_IN = {
    'cuda/kernels.cc': ('tf::DEVICE_GPU', 'tf::DEVICE_CPU'),
    'cuda/device.h': ('context->op_device_context()->stream()->platform_specific_handle().stream', 'nullptr'),
    'merge_op.cc': ('tf::DEVICE_CPU', '"NOWHERE"'),
    'group_op.cc': ('tf::DEVICE_CPU', '"NOWHERE"'),
    'heads_op.cc': ('tf::DEVICE_CPU', '"NOWHERE"'),
}
# A plugin of pytest, which sees to it that no other library is loaded.
FROM_HERE = """
import pathlib
from panpipe.custom_ops import library
library.FOLDER = pathlib.Path(__file__).parent
library.OPS = ()  # it holds three of them
assert library.available()
"""


@pytest.mark.slow
def test_ops_pass_their_tests_on_a_stand_in_for_a_gpu(tmp_path, monkeypatch):
    here = pathlib.Path(__file__).parent
    sources = tmp_path / 'cc'
    shutil.copytree(build.SOURCES, sources)
    for other in sources.glob('*_op.cc'):
        if other.name not in STAND_IN:
            other.unlink()
    for name, (usual, stand_in) in STAND_IN.items():
        text = (sources / name).read_text()
        assert usual in text
        (sources / name).write_text(text.replace(usual, stand_in))
    for path in (sources / 'cuda' / 'kernels.cc', here / 'cuda_stand_in.cc'):
        shutil.copy(path, sources)
    monkeypatch.setattr(build, 'SOURCES', sources)
    monkeypatch.setenv('CPATH', str(sources))
    build.compile_library(tmp_path / library.path().name)
    (tmp_path / 'from_here.py').write_text(FROM_HERE)
    tests = [
        here / 'test_heads.py',
        here / 'test_kernels.py',
        here.parent / 'model/postprocess/test_grouping.py',
    ]
    done = subprocess.run(
        [sys.executable, '-m', 'pytest', '-p', 'from_here', *tests],
        env=os.environ | {'PYTHONPATH': str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout


def on(device, op, *inputs, **attributes):
    """Runs an op on one device and no other."""
    was_soft = tf.config.get_soft_device_placement()
    tf.config.set_soft_device_placement(False)
    try:
        with tf.device(device):
            found = op(*map(tf.identity, inputs[:3]), *inputs[3:], **attributes)
    finally:
        tf.config.set_soft_device_placement(was_soft)
    return [np.asarray(maps) for maps in (found if isinstance(found, tuple) else [found])]


def assert_devices_agree(op, *inputs, **attributes):
    for one, other in zip(
        on('/GPU:0', op, *inputs, **attributes), on('/CPU:0', op, *inputs, **attributes), strict=True
    ):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize('limit', [0, 2048])
def test_merge_on_a_gpu(ops, limit):
    rules = CITYSCAPES | {'stuff_area_limit': limit}
    assert_devices_agree(ops.panpipe_merge, *drawn.blobs(0, (2, 640, 701)), **rules)
    noise = np.random.default_rng(0).integers(0, 2**20, (2, 1, 300, 400), np.int32)
    assert_devices_agree(ops.panpipe_merge, *noise, **rules)


def test_merge_on_a_gpu_refuses_negative_labels(ops):
    semantic = np.int32([[[3, -7, -9]]])
    with pytest.raises(tf.errors.InvalidArgumentError, match='label is -7'):
        on('/GPU:0', ops.panpipe_merge, semantic, semantic, **CITYSCAPES)


@pytest.mark.parametrize('keep_k', [0, 5, 200])
def test_group_on_a_gpu(ops, keep_k):
    generator = np.random.default_rng(keep_k)
    peaks = np.where(generator.random((2, 200, 300)) < 0.01, generator.random((2, 200, 300)), 0)
    offset = generator.normal(0, 30, (2, 200, 300, 2))
    is_thing = generator.random((2, 200, 300)) < 0.5
    assert_devices_agree(
        ops.panpipe_group, np.float32(peaks), np.float32(offset), is_thing, keep_k_centers=keep_k
    )


@pytest.mark.parametrize('draw', [drawn.plain, drawn.stepped, drawn.close, drawn.wild])
def test_heads_on_a_gpu(ops, draw):
    generator = np.random.default_rng(0)
    noise = [np.float32(draw(generator, (2, 97, 193, channels))) for channels in (19, 1, 2)]
    numbers = {'center_threshold': 0.1, 'nms_kernel': 7, 'keep_k_centers': 200} | CITYSCAPES
    for heads in (noise, drawn.scene(97, 193, batch=2)):
        for size in ((97, 193), (385, 769), (400, 700)):
            assert_devices_agree(ops.panpipe_panoptic_from_heads, *heads, np.int32(size), **numbers)


def test_traced_on_a_gpu(ops):
    # In a graph, integers pass through host memory unless a kernel says otherwise.
    semantic, instance = drawn.blobs(1, (1, 300, 400))
    with tf.device('/GPU:0'):
        traced = tf.function(lambda *maps: ops.panpipe_merge(*maps, **CITYSCAPES) + 1)(semantic, instance)
    [wanted] = on('/CPU:0', ops.panpipe_merge, semantic, instance, **CITYSCAPES)
    np.testing.assert_array_equal(traced, wanted + 1)
