# SPDX-License-Identifier: Apache-2.0
"""Runs all benchmarks, one after the other, into one table; compares with an earlier run.

python tests/benchmarks [--only conversion,inputs] [--repeats 10] [--json FILE] [--against FILE]
"""

import argparse
import json
import pathlib
import statistics
import subprocess
import sys
import tempfile

import rich.console
import rich.table

import timing

_WIDTH = 110
SCRIPTS = ('conversion', 'inputs', 'merge', 'postprocess', 'metrics')

Results = dict[str, dict[str, timing.Times]]  # by script and number of threads


def main() -> None:
    parser = argparse.ArgumentParser(prog='benchmarks', description=__doc__.splitlines()[0])
    parser.add_argument('--only', default=','.join(SCRIPTS), help='scripts to run, comma-separated')
    parser.add_argument('--threads', default='1,2', help='numbers of threads, default %(default)s')
    parser.add_argument('--repeats', type=int, default=10, help='default %(default)s')
    parser.add_argument('--json', type=pathlib.Path, help='file for all times')
    parser.add_argument('--against', type=pathlib.Path, help='file that an earlier run wrote with --json')
    arguments = parser.parse_args()
    names = arguments.only.split(',')
    if unknown := set(names) - set(SCRIPTS):
        parser.error(f'--only names {", ".join(sorted(unknown))}; there are {", ".join(SCRIPTS)}')
    earlier = json.loads(arguments.against.read_text()) if arguments.against else {}
    results = {name: _run(name, arguments.threads, arguments.repeats) for name in names}
    if arguments.json:
        arguments.json.write_text(json.dumps(results, indent=1))
    rich.console.Console(width=_WIDTH, markup=False).print(table(results, earlier))


def table(results: Results, earlier: Results) -> rich.table.Table:
    """Makes a row of each figure; milliseconds unless the name ends in another unit."""
    columns = (
        'benchmark',
        'threads',
        'what',
        'median',
        'min',
        'max',
        *(('earlier', 'ratio') if earlier else ()),
    )
    made = rich.table.Table(*columns, title='Milliseconds where no unit is given', title_justify='left')
    for column in made.columns[3:]:
        column.justify = 'right'
    for script, by_threads in results.items():
        for threads, times in by_threads.items():
            for name, values in times.items():
                figures = [statistics.median(values), min(values), max(values)]
                before = earlier.get(script, {}).get(threads, {}).get(name)
                if before:
                    old = statistics.median(before)
                    figures += [old, figures[0] / old]
                made.add_row(script, threads, name, *(f'{figure:.2f}' for figure in figures))
        made.add_section()
    return made


def _run(name: str, threads: str, repeats: int) -> dict[str, timing.Times]:
    script = pathlib.Path(__file__).with_name(f'{name}.py')
    with tempfile.TemporaryDirectory() as folder:
        result = pathlib.Path(folder) / 'times.json'
        command = [sys.executable, str(script), '--threads', threads, '--repeats', str(repeats)]
        subprocess.run([*command, '--json', str(result)], check=True, stdout=subprocess.DEVNULL)
        return json.loads(result.read_text())


if __name__ == '__main__':
    main()
