# SPDX-License-Identifier: Apache-2.0
"""The `panpipe` command: finds a job by its name and hands it the rest of the command line.

A job's module is imported only when the job is called, so that `panpipe --help` needs neither TensorFlow,
Beam nor Kubeflow Pipelines.
"""

import argparse
import difflib
import importlib
import importlib.metadata
import sys
import types
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from panpipe.model.jobs import quiet


class Job(NamedTuple):
    """Names the module that does a job, and says in one line what it does."""

    module: str
    purpose: str


JOBS: Mapping[str, Job] = types.MappingProxyType(
    {
        'toy': Job('panpipe.pipelines.toy', 'write a small synthetic data set in an official layout'),
        'dataset': Job('panpipe.pipelines.dataset', 'check a data set: its description and its raw files'),
        'convert': Job('panpipe.pipelines.convert', 'turn a raw data set into TFRecords (Beam)'),
        'statistics': Job('panpipe.pipelines.statistics', 'describe records: sizes, classes, advice (Beam)'),
        'show': Job('panpipe.pipelines.show', 'draw a sample or a prediction, with labels and targets'),
        'train': Job('panpipe.model.train', 'train and evaluate a network'),
        'import': Job('panpipe.model.importing', 'bring ImageNet weights of other libraries under our names'),
        'oracles': Job(
            'panpipe.model.oracles', 'compute what each head of a network would gain by being perfect'
        ),
        'export': Job('panpipe.model.export', 'turn a checkpoint into a SavedModel'),
        'predict': Job('panpipe.pipelines.predict', 'write the files that official evaluators take (Beam)'),
        'validate': Job(
            'panpipe.pipelines.validate', 'check prediction files before scoring or uploading them'
        ),
        'score': Job('panpipe.pipelines.score', 'run the official evaluators on those files'),
        'evaluate': Job(
            'panpipe.pipelines.evaluate', 'our metrics of predictions: sizes, intervals, each image (Beam)'
        ),
        'report': Job('panpipe.pipelines.report', 'make one HTML page of numbers, curves and pictures'),
        'workflow': Job('panpipe.components.workflow', 'check, compile, run or submit the Kubeflow pipeline'),
        'doctor': Job('panpipe.components.doctor', 'check this environment and a configuration'),
    }
)

_EXAMPLES = """examples:
  panpipe toy --dataset cityscapes_panoptic --output build/raw
  panpipe convert --dataset cityscapes_panoptic --input build/raw --output build/records
  panpipe workflow run --dataset cityscapes_panoptic --config FILE.textproto --output build/demo
  panpipe JOB --help
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs `panpipe JOB ARGUMENTS…` and returns the job's exit status (0 done, 1 failed, 2 wrong usage)."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if not arguments or arguments[0].startswith('-'):
        parser = _parser()
        parser.parse_args(arguments)
        parser.print_help(sys.stderr)
        return 2
    name, *rest = arguments
    if name not in JOBS:
        print(f'panpipe: error: unknown job {name!r}; {_suggestion(name)}', file=sys.stderr)
        return 2
    quiet.libraries()
    try:
        with quiet.start():
            job = importlib.import_module(JOBS[name].module)
            quiet.find_devices()
        return int(job.main(rest))
    except KeyboardInterrupt:
        print(f'panpipe {name}: interrupted', file=sys.stderr)
        return 130


def _suggestion(name: str) -> str:
    close = difflib.get_close_matches(name, JOBS, n=1)
    return f'did you mean {close[0]!r}?' if close else f'it is one of {", ".join(JOBS)}'


def _parser() -> argparse.ArgumentParser:
    lines = [f'  {name:<12}{job.purpose}' for name, job in JOBS.items()]
    parser = argparse.ArgumentParser(
        prog='panpipe',
        usage='panpipe [--help] [--version] JOB ARGUMENTS',
        description='Panoptic segmentation pipelines.\n\njobs:\n' + '\n'.join(lines),
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    version = importlib.metadata.version('panpipe')
    parser.add_argument('--version', action='version', version=f'panpipe {version}')
    return parser


if __name__ == '__main__':
    sys.exit(main())
