# SPDX-License-Identifier: Apache-2.0
"""Runs the compiled pipeline on this machine, without a cluster; keeps what is finished, and collects it.

OUTPUT/records, OUTPUT/model, …   what people look for, see PLACES
OUTPUT/logs/STEP.log              all that a step printed
OUTPUT/summary.md                 what ran, how long it took, what failed
OUTPUT/.kfp/finished/*.json       one a finished step: what it made, under the key of all that it depends on
OUTPUT/.kfp/kept/                 artifacts that have no place of their own
OUTPUT/.kfp/run/                  of the steps that run now
"""

import contextlib
import json
import os
import pathlib
import shutil
import sys
import types
import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import kfp.local
import yaml
from kfp import components
from kfp.local import cache

from panpipe.components import console, finished, notes
from panpipe.model import errors
from panpipe.model.storage import files

# Place in the output folder: step and artifact.
PLACES: Mapping[str, tuple[str, str]] = types.MappingProxyType(
    {
        'raw': ('toy', 'raw'),
        'records': ('convert', 'records'),
        'samples.html': ('convert', 'samples'),
        'statistics': ('statistics', 'statistics'),
        'model': ('train', 'model'),
        'evaluation': ('evaluate', 'evaluation'),
        'evaluation.html': ('evaluate', 'pictures'),
        'export': ('export', 'exported'),
        'predictions': ('predict', 'predictions'),
        'score.json': ('score', 'score'),
        'score.md': ('score', 'summary'),
        'accepted': ('accept', 'accepted'),
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


def run(
    document: str, arguments: Mapping[str, Any], output: pathlib.Path, facts: Mapping[str, str]
) -> list[console.Step]:
    """Runs a compiled pipeline and leaves its artifacts in `output`, under the names of `PLACES`.

    Args:
      document: the pipeline, without an exit handler.
      arguments: of the pipeline.
      output: folder; the steps of an earlier run that depend on the same things are kept.
      facts: what the results depend on beside the document and the arguments.

    Returns:
      The steps in the order in which they ran, those that were kept first.

    Raises:
      errors.InputError: the output folder holds somebody else's files, or a step met a user's mistake.
      errors.JobError: a step failed otherwise.
    """
    root, logs = _prepared(output)
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    spec: dict[str, Any] = next(yaml.safe_load_all(document))
    keys = finished.keys(spec, arguments, facts)
    _arrange(spec, keys)
    kept = _kept(spec, keys, root)
    steps = [console.Step(name, logs / f'{name}.log', succeeded=True, is_kept=True) for name in kept]
    if kept:
        print(f'kept from an earlier run: {", ".join(kept)}')
    if len(kept) == len(keys):
        return steps
    shown = console.Console(sys.stdout, logs, len(keys) - len(kept))
    with _collected(output), _summarized(output, shown.steps):
        _run(spec, arguments, root, shown)
    return [*steps, *shown.steps]


def _run(
    spec: Mapping[str, Any], arguments: Mapping[str, Any], root: pathlib.Path, shown: console.Console
) -> None:
    kfp.local.init(
        runner=kfp.local.SubprocessRunner(use_venv=False),
        pipeline_root=str(root / 'run'),
        enable_caching=True,
        cache_root=str(root / 'finished'),
    )
    with contextlib.redirect_stdout(shown), warnings.catch_warnings():
        warnings.simplefilter('ignore')  # kfp doubts any image whose name lacks "python"
        try:
            components.load_component_from_text(yaml.safe_dump(spec))(**arguments)
        except RuntimeError as error:
            raise _failure(shown.steps, error) from error


def _prepared(output: pathlib.Path) -> tuple[pathlib.Path, pathlib.Path]:
    root, logs = output / _ROOT, output / 'logs'
    taken = [name for name in (*PLACES, 'logs') if (output / name).exists()]
    if taken and not root.is_dir():
        raise errors.InputError(
            f'{output / taken[0]} exists and is not of an earlier run; give another --output, or remove it'
        )
    _collect(output)  # what an earlier run finished before it was killed
    shutil.rmtree(root / 'run', ignore_errors=True)
    for folder in (logs, root / 'finished', root / 'kept'):
        folder.mkdir(parents=True, exist_ok=True)
    return root, logs


def _arrange(spec: dict[str, Any], keys: Mapping[str, str]) -> None:
    """Gives each step its key, and drops retries, which help against a cluster's accidents only."""
    for name, task in spec['root']['dag']['tasks'].items():
        task.pop('retryPolicy', None)
        task['cachingOptions'] = {'enableCache': True, 'cacheKey': keys[name]}


def _kept(spec: Mapping[str, Any], keys: Mapping[str, str], root: pathlib.Path) -> list[str]:
    """Names the steps that are finished already."""
    known = cache.LocalCache(str(root / 'finished'))
    tasks = spec['root']['dag']['tasks']
    return [name for name, key in keys.items() if known.get(_entry(known, tasks[name], key)) is not None]


def _entry(known: cache.LocalCache, task: Mapping[str, Any], key: str) -> str:
    """Names the entry under which kfp keeps what a step made."""
    return str(
        known.compute_key(
            task['componentRef']['name'], '', full_command=[], arguments={}, custom_cache_key=key
        )
    )


def _failure(steps: list[console.Step], error: RuntimeError) -> Exception:
    failed = next((step for step in steps if not step.succeeded), None)
    if not failed:
        return error
    reason = f'step {failed.name}: {failed.error}' if failed.error else f'step {failed.name} failed'
    kind = errors.InputError if failed.is_mistake else errors.JobError
    return kind(f'{reason} (its log: {failed.log})')


@contextlib.contextmanager
def _collected(output: pathlib.Path) -> Iterator[None]:
    try:
        yield
    finally:
        _collect(output)


@contextlib.contextmanager
def _summarized(output: pathlib.Path, steps: Sequence[console.Step]) -> Iterator[None]:
    """Leaves summary.md, as the last task of a run does on a cluster."""
    state = 'failed'
    try:
        yield
        state = 'succeeded'
    finally:
        told = [notes.Note(step.name, step.started, step.seconds, step.error) for step in steps]
        files.write_whole(output / 'summary.md', notes.summary(told, state).encode())


def _collect(output: pathlib.Path) -> None:
    """Moves artifacts of finished steps to their places, and corrects the paths in files that name them."""
    root = output / _ROOT
    entries = {path: path.read_text() for path in (root / 'finished').glob('*.json')}
    moves = {}
    for text in entries.values():
        for artifact in json.loads(text).values():
            if isinstance(artifact, dict) and _is_below(artifact['uri'], root / 'run'):
                moves[artifact['uri']] = _place(artifact['uri'], output)
    for source, place in moves.items():
        _move(pathlib.Path(source), place)
    fresh = {path for path, text in entries.items() if any(source in text for source in moves)}
    for path in entries.keys() - fresh:  # of an earlier run: gone, if another artifact took the place
        if any(json.dumps(str(place.absolute())) in entries[path] for place in moves.values()):
            path.unlink()
    for path in (*fresh, *output.glob('model/**/*.textproto')):
        text = path.read_text()
        for source, place in moves.items():
            text = text.replace(source, str(place.absolute()))
        path.write_text(text)


def _is_below(uri: str, folder: pathlib.Path) -> bool:
    return pathlib.Path(uri).is_relative_to(folder.absolute())


def _place(uri: str, output: pathlib.Path) -> pathlib.Path:
    """Chooses the place of an artifact, which kfp wrote as …/STEP/ARTIFACT."""
    source = pathlib.Path(uri)
    made = (source.parent.name, source.name)
    named = next((name for name, wanted in PLACES.items() if wanted == made), None)
    return output / named if named else output.joinpath(_ROOT, 'kept', *made)


def _move(source: pathlib.Path, place: pathlib.Path) -> None:
    """Moves a file or folder; metrics, which kfp keeps as numbers alone, become an empty file."""
    if place.is_dir():
        shutil.rmtree(place)
    place.parent.mkdir(parents=True, exist_ok=True)
    if source.exists():
        os.replace(source, place)
    else:
        place.touch()
