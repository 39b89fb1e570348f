# SPDX-License-Identifier: Apache-2.0
"""Cache keys of the steps of a compiled pipeline: a step whose key is known need not run again."""

import graphlib
import hashlib
import importlib.resources
import json
from collections.abc import Mapping
from typing import Any

_ROOMS = ('panpipe.components', 'panpipe.custom_ops', 'panpipe.model', 'panpipe.pipelines')


def keys(spec: Mapping[str, Any], arguments: Mapping[str, Any], facts: Mapping[str, str]) -> dict[str, str]:
    """Computes the key of each step from all that its result depends on.

    Args:
      spec: a compiled pipeline without nested parts.
      arguments: of the pipeline.
      facts: what else the results depend on: the data, the code.

    Returns:
      Key by step, in an order in which the steps can run. It sums up the step's own program, its parameters
      and the keys of the steps that it takes something from.
    """
    tasks = spec['root']['dag']['tasks']
    known = spec['root'].get('inputDefinitions', {}).get('parameters', {})
    given = {name: arguments.get(name, entry.get('defaultValue')) for name, entry in known.items()}
    found: dict[str, str] = {}
    for name in graphlib.TopologicalSorter(
        {name: sorted(task.get('dependentTasks', ())) for name, task in tasks.items()}
    ).static_order():
        inputs = tasks[name].get('inputs', {})
        told = {
            'program': _program(spec, tasks[name]),
            'parameters': {
                key: _value(value, given, found) for key, value in inputs.get('parameters', {}).items()
            },
            'artifacts': {key: _source(value, found) for key, value in inputs.get('artifacts', {}).items()},
            'facts': dict(facts),
        }
        found[name] = hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()
    return found


def code() -> str:
    """Fingerprints the installed panpipe: every source file of its packages."""
    seen = hashlib.sha256()
    for room in _ROOMS:
        for path in _files(importlib.resources.files(room)):
            seen.update(path.name.encode() + b'\0' + path.read_bytes())
    return seen.hexdigest()


def _files(folder: Any) -> list[Any]:
    found = []
    for path in sorted(folder.iterdir(), key=lambda each: each.name):
        if path.is_dir() and path.name != '__pycache__':
            found += _files(path)
        elif path.is_file():
            found.append(path)
    return found


def _program(spec: Mapping[str, Any], task: Mapping[str, Any]) -> Any:
    label = spec['components'][task['componentRef']['name']]['executorLabel']
    container = spec['deploymentSpec']['executors'][label]['container']
    return [container.get('command'), container.get('args')]


def _value(entry: Mapping[str, Any], given: Mapping[str, Any], found: Mapping[str, str]) -> Any:
    """Returns a parameter's value, or where another step makes it, that step's key."""
    if 'componentInputParameter' in entry:
        return given[entry['componentInputParameter']]
    if 'taskOutputParameter' in entry:
        return found[entry['taskOutputParameter']['producerTask']]
    return entry['runtimeValue']['constant']


def _source(entry: Mapping[str, Any], found: Mapping[str, str]) -> list[str]:
    output = entry['taskOutputArtifact']
    return [found[output['producerTask']], output['outputArtifactKey']]
