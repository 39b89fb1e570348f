# SPDX-License-Identifier: Apache-2.0
"""How the CUDA compiler is found and called; the kernels are optional, and most machines have none."""

import os
import pathlib
import re
import shutil
import subprocess

from panpipe.model import errors

SOURCES = pathlib.Path(__file__).parent / 'cc' / 'cuda'
# Machine code for these (Volta to Hopper), of which a compiler knows but some; later ones translate what is
# for the last.
_ARCHITECTURES = (70, 75, 80, 86, 89, 90)
# As in TensorFlow's threads on the CPU: no fused multiply-add, and subnormal numbers are 0.
# What is constexpr in the standard library runs on the GPU, too.
_FLAGS = ('-O3', '-DNDEBUG', '--fmad=false', '--ftz=true', '--expt-relaxed-constexpr')
_HOST_FLAGS = '-fPIC,-Wall,-ffp-contract=off'


def find(wanted: str = '') -> str | None:
    """Finds the compiler: the wanted one, that of $CUDA_HOME, or the first in $PATH.

    Raises:
      InputError: the wanted one is not there.
    """
    if wanted:
        found = shutil.which(wanted)
        if found is None:
            raise errors.InputError(f'there is no CUDA compiler {wanted}: name the program nvcc, or none')
        return found
    home = os.environ.get('CUDA_HOME', '')
    return (home and shutil.which(str(pathlib.Path(home) / 'bin' / 'nvcc'))) or shutil.which('nvcc')


def command(compiler: str, target: pathlib.Path) -> list[str]:
    """Makes the command that compiles and links all sources for the installed TensorFlow into `target`."""
    import tensorflow as tf

    line = [*start(compiler), *targets(compiler), '-shared']
    line += map(str, sorted((*SOURCES.glob('*.cu'), *SOURCES.glob('*.cc'))))
    return [*line, *tf.sysconfig.get_compile_flags(), *tf.sysconfig.get_link_flags(), '-o', str(target)]


def start(compiler: str) -> list[str]:
    """Makes the start of any command: the compiler, how it compiles, and where it finds the headers."""
    chosen = ['-ccbin', os.environ['CXX']] if 'CXX' in os.environ else []
    return [compiler, *_FLAGS, '-Xcompiler', _HOST_FLAGS, *chosen, f'-I{SOURCES.parent}']


def targets(compiler: str) -> list[str]:
    """Lists the options that name the GPUs to compile for.

    Raises:
      InputError: the compiler knows none of them.
    """
    listed = subprocess.run([compiler, '--list-gpu-code'], capture_output=True, text=True, check=False).stdout
    known = {int(number) for number in re.findall(r'\bsm_(\d+)\b', listed)}
    chosen = [number for number in _ARCHITECTURES if number in known]
    if not chosen:
        raise errors.InputError(f'{compiler} compiles for none of sm_{_ARCHITECTURES}: use CUDA 11 or later')
    flags = [f'-gencode=arch=compute_{number},code=sm_{number}' for number in chosen]
    return [*flags, f'-gencode=arch=compute_{chosen[-1]},code=compute_{chosen[-1]}']
