# SPDX-License-Identifier: Apache-2.0
"""Compiles the ops for the installed TensorFlow: `python -m panpipe.custom_ops.build`.

The library lies beside this package, is named after the version of TensorFlow, and runs on any processor of
the architecture it was built on. Where there is a CUDA compiler, a second library has kernels for GPUs.
"""

import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from concurrent import futures

from panpipe.custom_ops import nvcc
from panpipe.model import errors
from panpipe.model.jobs import command_line, quiet

SOURCES = pathlib.Path(__file__).parent / 'cc'
_QUOTED = 500  # characters of a compiler's last words
# No fused multiply-add: results must not depend on the processor.
_FLAGS = ('-O3', '-DNDEBUG', '-Wall', '-ffp-contract=off', '-fPIC')


def main(argv: Sequence[str] | None = None) -> int:
    """Builds the libraries unless they are newer than their sources."""
    parser = command_line.parser(
        'build',
        'Compiles the custom ops for the installed TensorFlow.',
        ['python -m panpipe.custom_ops.build', 'CXX=clang++ python -m panpipe.custom_ops.build --force'],
    )
    parser.prog = 'python -m panpipe.custom_ops.build'
    parser.add_argument('--force', action='store_true', help='build even if the library is up to date')
    nvcc_help = 'CUDA compiler; by default $CUDA_HOME/bin/nvcc or the one in $PATH'
    parser.add_argument('--nvcc', default='', metavar='PROGRAM', help=nvcc_help)
    args = parser.parse_args(argv)
    return command_line.run('build', lambda: _build(args.nvcc, force=args.force))


def compile_library(target: pathlib.Path) -> None:
    """Compiles all sources into one shared library, which replaces `target` at once or not at all.

    Raises:
      InputError: there is no C++ compiler, or the folder cannot be written.
      RuntimeError: the compiler fails; it quotes the compiler.
    """
    name = os.environ.get('CXX', 'g++')
    compiler = shutil.which(name)
    if compiler is None:
        cure = 'install g++ (Debian, Ubuntu: apt install g++), or name another one in CXX'
        raise errors.InputError(f'there is no C++ compiler {name}: {cure}')
    _replace(target, lambda built: _compile(compiler, built))


def compile_cuda_library(compiler: str, target: pathlib.Path) -> None:
    """Compiles the kernels for GPUs likewise.

    Raises:
      InputError: the compiler is too old, or the folder cannot be written.
      RuntimeError: the compiler fails; it quotes the compiler.
    """
    _replace(target, lambda built: _call(nvcc.command(compiler, built)))


def is_current(target: pathlib.Path, *folders: pathlib.Path) -> bool:
    """Returns whether the library exists and is no older than any source in the folders."""
    sources = [path.stat().st_mtime for folder in folders for path in folder.iterdir() if path.is_file()]
    return target.is_file() and target.stat().st_mtime >= max(sources)


def _compile(compiler: str, target: pathlib.Path) -> None:
    """Compiles each source, as many at a time as there are processors, and links them."""
    import tensorflow as tf

    flags = (*_FLAGS, *tf.sysconfig.get_compile_flags())
    objects = {source: str(target.parent / f'{source.stem}.o') for source in sorted(SOURCES.glob('*.cc'))}
    commands = [[compiler, *flags, '-c', str(source), '-o', built] for source, built in objects.items()]
    with futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(_call, commands))
    _call([compiler, '-shared', *objects.values(), '-o', str(target), *tf.sysconfig.get_link_flags()])


def _call(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f'{" ".join(command)} failed:\n{done.stderr}')


def _replace(target: pathlib.Path, make: Callable[[pathlib.Path], None]) -> None:
    if not os.access(target.parent, os.W_OK):
        raise errors.InputError(f'{target.parent} is not writable: build as the owner of the installation')
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        built = pathlib.Path(folder) / target.name
        make(built)
        built.replace(target)


def _build(wanted_nvcc: str, *, force: bool) -> None:
    with quiet.start():
        from panpipe.custom_ops import library

    compiler = nvcc.find(wanted_nvcc)
    _renew(library.path(), force or not is_current(library.path(), SOURCES), compile_library)
    if compiler is None:
        print('CUDA kernels not built: there is no nvcc in $CUDA_HOME/bin or $PATH; --nvcc names another')
    elif not library.is_for_cuda():
        print('CUDA kernels not built: the installed TensorFlow is not built for CUDA')
    else:
        target = library.cuda_path()
        is_stale = force or not is_current(target, SOURCES, nvcc.SOURCES)
        try:
            _renew(target, is_stale, lambda built: compile_cuda_library(compiler, built))
        except (errors.InputError, RuntimeError) as error:
            if wanted_nvcc:
                raise
            # Nobody asked for them, and everything runs without.
            print(f'CUDA kernels not built: {str(error)[-_QUOTED:]}')


def _renew(target: pathlib.Path, is_stale: bool, compile_it: Callable[[pathlib.Path], None]) -> None:
    if not is_stale:
        print(f'{target.name} is up to date')
        return
    compile_it(target)
    print(f'built {target}')


if __name__ == '__main__':
    sys.exit(main())
