# SPDX-License-Identifier: Apache-2.0
"""Compiles the ops for the installed TensorFlow: `python -m panpipe.custom_ops.build`.

The library lies beside this package, is named after the version of TensorFlow, and runs on any processor of
the architecture it was built on.
"""

import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence

from panpipe.model import errors, jobs

SOURCES = pathlib.Path(__file__).parent / 'cc'
# No fused multiply-add: results must not depend on the processor.
_FLAGS = ('-O3', '-DNDEBUG', '-Wall', '-ffp-contract=off', '-shared', '-fPIC')


def main(argv: Sequence[str] | None = None) -> int:
    """Builds the library unless it is newer than its sources."""
    parser = jobs.parser(
        'build',
        'Compiles the custom ops for the installed TensorFlow.',
        ['python -m panpipe.custom_ops.build', 'CXX=clang++ python -m panpipe.custom_ops.build --force'],
    )
    parser.prog = 'python -m panpipe.custom_ops.build'
    parser.add_argument('--force', action='store_true', help='build even if the library is up to date')
    args = parser.parse_args(argv)
    return jobs.run('build', lambda: _build(force=args.force))


def compile_library(target: pathlib.Path) -> None:
    """Compiles all sources into one shared library, which replaces `target` at once or not at all.

    Raises:
      InputError: there is no C++ compiler, or the folder cannot be written.
      RuntimeError: the compiler fails; it quotes the compiler.
    """
    import tensorflow as tf

    name = os.environ.get('CXX', 'g++')
    compiler = shutil.which(name)
    if compiler is None:
        raise errors.InputError(f'there is no C++ compiler {name}: install g++, or name another one in CXX')
    if not os.access(target.parent, os.W_OK):
        raise errors.InputError(f'{target.parent} is not writable: build as the owner of the installation')
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        built = pathlib.Path(folder) / target.name
        command = [compiler, *_FLAGS, *map(str, sorted(SOURCES.glob('*.cc'))), '-o', str(built)]
        command += [*tf.sysconfig.get_compile_flags(), *tf.sysconfig.get_link_flags()]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f'{" ".join(command)} failed:\n{done.stderr}')
        built.replace(target)


def is_current(target: pathlib.Path) -> bool:
    """Says whether the library exists and is no older than any of its sources."""
    sources = [path.stat().st_mtime for path in SOURCES.iterdir()]
    return target.is_file() and target.stat().st_mtime >= max(sources)


def _build(*, force: bool) -> None:
    from panpipe.custom_ops import library

    target = library.path()
    if is_current(target) and not force:
        print(f'{target.name} is up to date')
        return
    compile_library(target)
    print(f'built {target}')


if __name__ == '__main__':
    sys.exit(main())
