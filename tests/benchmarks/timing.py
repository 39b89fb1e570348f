# SPDX-License-Identifier: Apache-2.0
"""How the benchmarks measure: versions in turn, in one run, a fresh process for each number of threads."""

import argparse
import ctypes
import gc
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping

Times = dict[str, list[float]]


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
    before = _status('VmRSS')
    work()
    return (_status('VmHWM') - before) / 1000


def _status(field: str) -> int:
    lines = pathlib.Path('/proc/self/status').read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field))


def main(description: str, measure: Callable[[int], Times]) -> None:
    """Runs a benchmark script: prints a table, and writes all times where `--json` says.

    `measure` takes a number of repeats. It runs in a process of its own, because the threads of TensorFlow's
    pool are counted once.
    """
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument('--threads', default='1,2', help='numbers of threads, default 1,2')
    parser.add_argument('--repeats', type=int, default=30)
    parser.add_argument('--json', type=pathlib.Path, help='file for all times in milliseconds')
    parser.add_argument('--in_this_process', action='store_true', help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.in_this_process:
        args.json.write_text(json.dumps(measure(args.repeats)))
        return
    results = {count: _measure_apart(count, args.repeats) for count in args.threads.split(',')}
    for count, times in results.items():
        _print_table(count, times)
    if args.json:
        args.json.write_text(json.dumps(results, indent=1))


def _measure_apart(threads: str, repeats: int) -> Times:
    with tempfile.TemporaryDirectory() as folder:
        result = pathlib.Path(folder) / 'times.json'
        command = [
            sys.executable,
            sys.argv[0],
            '--in_this_process',
            '--json',
            str(result),
            '--repeats',
            str(repeats),
        ]
        quiet = {'TF_NUM_INTRAOP_THREADS': threads, 'TF_CPP_MIN_LOG_LEVEL': '3'}
        subprocess.run(command, check=True, env=os.environ | quiet)
        return json.loads(result.read_text())


def _print_table(threads: str, times: Times) -> None:
    print(f'\n{"threads " + threads:<28}{"median ms":>10}{"min":>9}{"max":>9}{"ratio":>8}')
    first = statistics.median(next(iter(times.values())))
    for name, values in times.items():
        median = statistics.median(values)
        print(f'{name:<28}{median:>10.2f}{min(values):>9.2f}{max(values):>9.2f}{median / first:>8.1f}')
