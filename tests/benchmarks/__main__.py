# SPDX-License-Identifier: Apache-2.0
"""Runs all benchmarks, one after the other, into one table; compares with an earlier run.

python tests/benchmarks [--only conversion,inputs] [--repeats 10] [--json FILE] [--against FILE]
"""

import argparse
import json
import pathlib
import subprocess
import sys
import tempfile
from typing import Any

import tables

SCRIPTS = ('conversion', 'inputs', 'merge', 'postprocess', 'maskwise', 'predict', 'metrics', 'network')


def main() -> None:
    parser = argparse.ArgumentParser(prog='benchmarks', description=__doc__.splitlines()[0])
    parser.add_argument('--only', default=','.join(SCRIPTS), help='scripts to run, comma-separated')
    parser.add_argument('--threads', default='1,2', help='numbers of threads, default %(default)s')
    parser.add_argument('--repeats', type=int, default=10, help='default %(default)s')
    parser.add_argument('--json', type=pathlib.Path, help='file for all figures')
    parser.add_argument('--against', type=pathlib.Path, help='file that an earlier run wrote with --json')
    arguments = parser.parse_args()
    names = arguments.only.split(',')
    if unknown := set(names) - set(SCRIPTS):
        parser.error(f'--only names {", ".join(sorted(unknown))}; there are {", ".join(SCRIPTS)}')
    earlier = json.loads(arguments.against.read_text()) if arguments.against else {}
    results = {name: _run(name, arguments.threads, arguments.repeats) for name in names}
    if arguments.json:
        arguments.json.write_text(json.dumps(results, indent=1))
    tables.show(results, earlier)


def _run(name: str, threads: str, repeats: int) -> dict[str, Any]:
    script = pathlib.Path(__file__).with_name(f'{name}.py')
    with tempfile.TemporaryDirectory() as folder:
        result = pathlib.Path(folder) / 'figures.json'
        command = [sys.executable, str(script), '--threads', threads, '--repeats', str(repeats)]
        subprocess.run([*command, '--json', str(result)], check=True, stdout=subprocess.DEVNULL)
        return json.loads(result.read_text())


if __name__ == '__main__':
    main()
