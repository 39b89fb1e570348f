# SPDX-License-Identifier: Apache-2.0
"""How the benchmarks measure: versions in turn, in one run, a fresh process for each number of threads."""

import argparse
import concurrent.futures
import ctypes
import dataclasses
import gc
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from typing import TypedDict

import numpy as np
import tables

Times = dict[str, list[float]]

_COPIED_BYTES = 2**26
_COPIES = 15


class Row(TypedDict, total=False):
    """What is known of one thing that was measured.

    Attributes:
      times: milliseconds, or the unit in brackets at the end of its name.
      extra: MB by which the process grew at most, its result included.
      moved: MB that must at least be read and written: inputs once, results once.
    """

    times: list[float]
    extra: float
    moved: float


@dataclasses.dataclass(frozen=True)
class Work:
    """Holds what is to be timed, and the bytes that it must at least read and write."""

    run: Callable[[], object]
    moved: int


def rows(works: Mapping[str, Work], repeats: int) -> dict[str, Row]:
    """Times all works in turn, and measures the memory of each."""
    times = in_turn({name: work.run for name, work in works.items()}, repeats)
    return {
        name: Row(times=times[name], extra=extra_memory(work.run), moved=work.moved / 1e6)
        for name, work in works.items()
    }


def in_turn(works: Mapping[str, Callable[[], object]], repeats: int) -> Times:
    """Times all works in turn, in milliseconds, so that what else the machine does falls on all alike."""
    times: Times = {name: [] for name in works}
    for repeat in range(-3, repeats):
        for name, work in works.items():
            begin = time.perf_counter()
            work()
            if repeat >= 0:  # the first rounds trace functions and fill caches
                times[name].append(1000 * (time.perf_counter() - begin))
    return times


def extra_memory(work: Callable[[], object]) -> float:
    """Returns by how many MB the process grows, at most, while `work` runs (Linux with glibc)."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    pathlib.Path('/proc/self/clear_refs').write_text('5')  # the peak becomes what is held now
    before = resident()
    work()
    return resident('VmHWM') - before


def resident(field: str = 'VmRSS') -> float:
    """Returns the memory of this process in MB: what is held now, or VmHWM, the most that ever was."""
    lines = pathlib.Path('/proc/self/status').read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field)) / 1000


def copy_bandwidth(threads: int) -> list[float]:
    """Copies arrays that are there, one a thread; returns what each round read and wrote, in GB a second."""
    sources = [np.ones(_COPIED_BYTES, np.uint8) for _ in range(threads)]
    targets = [np.zeros_like(source) for source in sources]
    rates = []
    with concurrent.futures.ThreadPoolExecutor(threads) as pool:
        for _ in range(_COPIES):
            begin = time.perf_counter()
            list(pool.map(np.copyto, targets, sources))
            rates.append(2 * threads * _COPIED_BYTES / 1e9 / (time.perf_counter() - begin))
    return rates


def main(description: str, measure: Callable[[int], Mapping[str, Row | list[float]]]) -> None:
    """Runs a benchmark script: prints a table, and writes all figures where `--json` says.

    `measure` takes a number of repeats. It runs in a process of its own, because the threads of TensorFlow's
    pool are counted once.
    """
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument('--threads', default='1,2', help='numbers of threads, default %(default)s')
    parser.add_argument('--repeats', type=int, default=30, help='default %(default)s')
    parser.add_argument('--json', type=pathlib.Path, help='file for all figures')
    parser.add_argument('--in_this_process', action='store_true', help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.in_this_process:
        copying = Row(times=copy_bandwidth(int(os.environ['TF_NUM_INTRAOP_THREADS'])))
        measured = {tables.BANDWIDTH: copying} | {
            name: Row(times=row) if isinstance(row, list) else row
            for name, row in measure(args.repeats).items()
        }
        args.json.write_text(json.dumps(measured))
        return
    results = {count: _measure_apart(count, args.repeats) for count in args.threads.split(',')}
    tables.show({pathlib.Path(sys.argv[0]).stem: results}, {})
    if args.json:
        args.json.write_text(json.dumps(results, indent=1))


def _measure_apart(threads: str, repeats: int) -> dict[str, Row]:
    with tempfile.TemporaryDirectory() as folder:
        result = pathlib.Path(folder) / 'figures.json'
        command = [sys.executable, sys.argv[0], '--in_this_process']
        command += ['--json', str(result), '--repeats', str(repeats)]
        quiet = {'TF_NUM_INTRAOP_THREADS': threads, 'TF_CPP_MIN_LOG_LEVEL': '3'}
        subprocess.run(command, check=True, env=os.environ | quiet)
        return json.loads(result.read_text())
