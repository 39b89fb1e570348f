# SPDX-License-Identifier: Apache-2.0
"""Builds and runs what checks and times the CUDA kernels without TensorFlow: `make gpu-check`.

It needs nvcc and a GPU, and neither TensorFlow nor any other package. Without nvcc it says so and is content;
without a GPU it builds, and says that nothing ran.
"""

import argparse
import pathlib
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence

from panpipe.custom_ops import nvcc
from panpipe.model import errors

HERE = pathlib.Path(__file__).parent / 'custom_ops'
ALONE = HERE / 'cuda_alone.cu'
BENCHMARK = HERE.parent / 'benchmarks' / 'cuda.cu'
NO_GPU = 77  # the exit status of both programs where there is none


def main(argv: Sequence[str] | None = None) -> int:
    """Runs all steps in turn, and returns 1 as soon as one fails."""
    parser = argparse.ArgumentParser(prog='gpu_check', description=__doc__)
    parser.add_argument('--nvcc', default='', help='by default $CUDA_HOME/bin/nvcc or the one in $PATH')
    parser.add_argument('--output', default='build/gpu_check', metavar='FOLDER', help='where it builds')
    parser.add_argument('--cases', type=int, default=40, help='rounds of random images')
    parser.add_argument('--sanitized', type=int, default=3, help='rounds of them under compute-sanitizer')
    parser.add_argument('--repeats', type=int, default=50, help='of each timing')
    args = parser.parse_args(argv)
    try:
        compiler = nvcc.find(args.nvcc)
        if compiler is None:
            print('gpu-check skipped: there is no nvcc in $CUDA_HOME/bin or $PATH')
            return 0
        alone, benchmark = build(compiler, pathlib.Path(args.output))
    except (errors.InputError, subprocess.CalledProcessError) as error:
        print(f'gpu-check failed: {error}')
        return 1
    status = _run('kernels against the CPU', [alone, '--cases', args.cases])
    if status == NO_GPU:
        print('gpu-check built both programs and ran neither: there is no GPU')
        return 0
    steps = [*_sanitizers(compiler, alone, args.sanitized), ('times', [benchmark, '--repeats', args.repeats])]
    for title, command in steps:
        status = status or _run(title, command)
    print('gpu-check failed' if status else 'gpu-check passed')
    return 1 if status else 0


def build(compiler: str, folder: pathlib.Path) -> tuple[pathlib.Path, pathlib.Path]:
    """Compiles the kernels once, and both programs around them.

    Returns:
      The program that compares, and the one that times.

    Raises:
      subprocess.CalledProcessError: the compiler fails, and has said why.
    """
    folder.mkdir(parents=True, exist_ok=True)
    kernels = folder / 'launch.o'
    source = nvcc.SOURCES / 'launch.cu'
    _compile([*nvcc.start(compiler), *nvcc.targets(compiler), '-c', source, '-o', kernels])
    programs = folder / 'cuda_alone', folder / 'cuda_benchmark'
    for source, program in zip((ALONE, BENCHMARK), programs, strict=True):
        # They have no kernels of their own: C++, whatever their names end with.
        compiled = program.with_suffix('.o')
        _compile(
            [*nvcc.start(compiler), '-std=c++17', '-x', 'c++', f'-I{HERE}', '-c', source, '-o', compiled]
        )
        _compile([*nvcc.start(compiler), compiled, kernels, '-o', program])
    return programs


def _compile(command: Sequence[object]) -> None:
    start = time.monotonic()
    subprocess.run([str(word) for word in command], check=True)
    print(f'made {command[-1]} in {time.monotonic() - start:.0f} s', flush=True)


def _sanitizers(compiler: str, alone: pathlib.Path, cases: int) -> list[tuple[str, list[object]]]:
    """Lists the steps under compute-sanitizer, or says that there is none beside the compiler or in $PATH."""
    beside = pathlib.Path(compiler).resolve().parent / 'compute-sanitizer'
    sanitizer = shutil.which(beside) or shutil.which('compute-sanitizer')
    if sanitizer is None:
        print('compute-sanitizer skipped: it is neither beside nvcc nor in $PATH')
        return []
    return [
        (tool, [sanitizer, '--tool', tool, '--error-exitcode', 1, alone, '--cases', cases, '--large', 0])
        for tool in ('memcheck', 'racecheck')
    ]


def _run(title: str, command: Sequence[object]) -> int:
    print(f'== {title}', flush=True)
    start = time.monotonic()
    status = subprocess.run([str(word) for word in command], check=False).returncode
    print(f'== {title}: status {status} after {time.monotonic() - start:.0f} s', flush=True)
    return status


if __name__ == '__main__':
    sys.exit(main())
