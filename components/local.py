# SPDX-License-Identifier: Apache-2.0
"""Runs the compiled pipeline on this machine, without a cluster, and collects what it made."""

import contextlib
import os
import pathlib
import shutil
import sys
import types
import warnings
from collections.abc import Mapping
from typing import Any

import kfp.local
import yaml
from kfp import components

from panpipe.components import console
from panpipe.model import errors

# Place in the output folder: step and artifact.
PLACES: Mapping[str, tuple[str, str]] = types.MappingProxyType(
    {
        'raw': ('source', 'raw'),
        'records': ('convert', 'records'),
        'samples.html': ('convert', 'samples'),
        'statistics': ('statistics', 'statistics'),
        'model': ('train', 'model'),
        'evaluation': ('evaluate', 'evaluation'),
        'evaluation.html': ('evaluate', 'pictures'),
        'export': ('export', 'exported'),
        'predictions': ('predict', 'predictions'),
        'score.json': ('score', 'score'),
        'report.html': ('report', 'page'),
    }
)
_ROOT = '.kfp'
_ENVIRONMENT = {
    'PYTHONUNBUFFERED': '1',
    'TF_CPP_MIN_LOG_LEVEL': '2',
    'PYTHONWARNINGS': 'ignore',
    'COLUMNS': '100',
}


def run(document: str, arguments: Mapping[str, Any], output: pathlib.Path) -> list[console.Step]:
    """Runs a compiled pipeline and leaves its artifacts in `output`, under the names of `PLACES`.

    Raises:
      errors.InputError: the output folder holds somebody else's files, or a step met a user's mistake.
      errors.JobError: a step failed otherwise.
    """
    root, logs = _prepared(output)
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    spec = _without_retries(document)
    shown = console.Console(sys.stdout, logs, len(spec['root']['dag']['tasks']))
    kfp.local.init(runner=kfp.local.SubprocessRunner(use_venv=False), pipeline_root=str(root))
    with contextlib.redirect_stdout(shown), warnings.catch_warnings():
        warnings.simplefilter('ignore')  # kfp doubts any image whose name lacks "python"
        try:
            components.load_component_from_text(yaml.safe_dump(spec))(**arguments)
        except RuntimeError as error:
            raise _failure(shown.steps, error) from error
    _collect(root, output)
    return shown.steps


def _prepared(output: pathlib.Path) -> tuple[pathlib.Path, pathlib.Path]:
    root, logs = output / _ROOT, output / 'logs'
    taken = [name for name in (*PLACES, 'logs') if (output / name).exists()]
    if taken and not root.is_dir():
        raise errors.InputError(
            f'{output / taken[0]} exists and is not of an earlier run; give another --output, or remove it'
        )
    for folder in (root, logs):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
    return root, logs


def _without_retries(document: str) -> dict[str, Any]:
    """Reads the pipeline without its retries, which help against a cluster's accidents only."""
    spec: dict[str, Any] = next(yaml.safe_load_all(document))
    for task in spec['root']['dag']['tasks'].values():
        task.pop('retryPolicy', None)
    return spec


def _failure(steps: list[console.Step], error: RuntimeError) -> Exception:
    if not steps or steps[-1].succeeded:
        return error
    failed = steps[-1]
    reason = f'step {failed.name}: {failed.error}' if failed.error else f'step {failed.name} failed'
    kind = errors.InputError if failed.is_mistake else errors.JobError
    return kind(f'{reason} (its log: {failed.log})')


def _collect(root: pathlib.Path, output: pathlib.Path) -> None:
    """Moves the artifacts, and corrects the paths in the experiment's configuration."""
    moves = {}
    for name, (step, artifact) in PLACES.items():
        for path in root.glob(f'*/{step}/{artifact}'):
            moves[str(path.absolute())] = output / name
    for source, place in moves.items():
        if place.is_dir():
            shutil.rmtree(place)
        os.replace(source, place)
    for config in output.glob('model/**/*.textproto'):
        text = config.read_text()
        for source, place in moves.items():
            text = text.replace(source, str(place.absolute()))
        config.write_text(text)
