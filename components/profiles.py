# SPDX-License-Identifier: Apache-2.0
"""Resources of the steps on a cluster: requests and limits by step, with single fields overridden."""

import dataclasses
import difflib
import importlib.resources
import os
import pathlib
import tomllib
from collections.abc import Mapping, Sequence
from typing import Any

from panpipe.model import errors

ALL = 'all'
STEPS = (
    'source',
    'toy',
    'convert',
    'statistics',
    'train',
    'evaluate',
    'export',
    'predict',
    'score',
    'accept',
    'report',
    'summary',
)
_ACCELERATED = ('train', 'evaluate', 'predict')
SHARED_MEMORY = '/dev/shm'


@dataclasses.dataclass(frozen=True)
class Needs:
    """Holds the resource requests of one step; '' and 0 request nothing.

    Attributes:
      cpu: cores requested, as Kubernetes writes them: '2', '500m'.
      memory: requested, such as '4Gi'.
      cpu_limit: beyond it the step is slowed down.
      memory_limit: beyond it the step is killed.
      shm: size of /dev/shm, such as '8Gi'.
      accelerator: resource, such as 'nvidia.com/gpu'.
      accelerators: how many of them.
      node_selector: node label → value.
      tolerations: 'KEY:EFFECT' or 'KEY=VALUE:EFFECT' of node taints.
    """

    cpu: str = ''
    memory: str = ''
    cpu_limit: str = ''
    memory_limit: str = ''
    shm: str = ''
    accelerator: str = ''
    accelerators: int = 1
    node_selector: Mapping[str, str] = dataclasses.field(default_factory=dict)
    tolerations: tuple[str, ...] = ()


Table = dict[str, dict[str, Any]]
_FIELDS = {field.name: field for field in dataclasses.fields(Needs)}


def shipped() -> list[str]:
    """Names the profiles that panpipe brings along."""
    return list(tomllib.loads(_shipped_text()))


def table(profile: str) -> Table:
    """Reads a profile: fields of `Needs` by step; 'all' is for every step.

    Args:
      profile: name of a shipped one, a .toml file that holds one, or '' for none.

    Raises:
      errors.InputError: there is none of that name, or it has a step or field that does not exist.
    """
    if not profile:
        return {}
    if profile.endswith('.toml'):
        return _check(_read(profile), profile)
    known = tomllib.loads(_shipped_text())
    if profile not in known:
        raise errors.InputError(f'--profile {profile}: it is {", ".join(known)}, or a .toml file')
    return _check(known[profile], profile)


def override(found: Table, entries: Sequence[str]) -> Table:
    """Sets single fields of a profile.

    Args:
      found: the profile.
      entries: 'STEP.FIELD=VALUE', such as 'train.memory=48Gi'; STEP may be 'all', VALUE may be empty.

    Raises:
      errors.InputError: no such step or field.
    """
    result = {step: dict(fields) for step, fields in found.items()}
    for entry in entries:
        name, is_set, value = entry.partition('=')
        step, _, field = name.partition('.')
        if not is_set:
            raise errors.InputError(f'--ask {entry}: write STEP.FIELD=VALUE, such as train.memory=48Gi')
        _check({step: {field: value}}, f'--ask {entry}')
        for each in result if step == ALL else [step]:
            result.setdefault(each, {}).pop(field, None)
        result.setdefault(step, {})[field] = _value(field, value, entry)
    return result


def accelerate(found: Table, accelerator: str, number: int) -> Table:
    """Gives train, evaluate and predict another accelerator."""
    asked = {'accelerator': accelerator, 'accelerators': number}
    return {**found, **{step: {**found.get(step, {}), **asked} for step in _ACCELERATED}}


def select(found: Table, labels: Mapping[str, str]) -> Table:
    """Sends train, evaluate and predict to nodes with labels, beside those of the profile."""
    chosen = {step: {**found.get(step, {}).get('node_selector', {}), **labels} for step in _ACCELERATED}
    return {
        **found,
        **{step: {**found.get(step, {}), 'node_selector': chosen[step]} for step in _ACCELERATED},
    }


def tolerate(found: Table, taints: Sequence[str]) -> Table:
    """Lets train, evaluate and predict run on nodes with taints, beside those of the profile."""
    for taint in taints:
        if ':' not in taint:
            raise errors.InputError(f'--toleration {taint}: write KEY:EFFECT or KEY=VALUE:EFFECT')
    asked = {step: (*found.get(step, {}).get('tolerations', ()), *taints) for step in _ACCELERATED}
    return {**found, **{step: {**found.get(step, {}), 'tolerations': asked[step]} for step in _ACCELERATED}}


def needs(found: Table, step: str) -> Needs:
    """Returns a step's requests: its own fields, completed by those of 'all'."""
    fields = {**found.get(ALL, {}), **found.get(step, {})}
    return Needs(**{**fields, 'tolerations': tuple(fields.get('tolerations', ()))})


def _check(found: Mapping[str, Mapping[str, Any]], where: str) -> Table:
    for step, fields in found.items():
        _known(step, (ALL, *STEPS), 'step', where)
        for field in fields:
            _known(field, tuple(_FIELDS), 'field', where)
    return {step: dict(fields) for step, fields in found.items()}


def _known(name: str, names: Sequence[str], kind: str, where: str) -> None:
    if name not in names:
        close = difflib.get_close_matches(name, names, n=1)
        cure = f'did you mean {close[0]!r}?' if close else f'it is one of {", ".join(names)}'
        raise errors.InputError(f'{where}: no {kind} {name!r}; {cure}')


def _value(field: str, value: str, entry: str) -> Any:
    if field == 'accelerators':
        if not value.isdecimal():
            raise errors.InputError(f'--ask {entry}: accelerators is a number')
        return int(value)
    if field == 'tolerations':
        return tuple(filter(None, value.split(',')))
    if field == 'node_selector':
        return dict(part.partition('=')[::2] for part in value.split(',') if part)
    return value


def _read(name: str) -> dict[str, Any]:
    try:
        return tomllib.loads(pathlib.Path(name).read_text(encoding='utf-8-sig'))
    except OSError as error:
        raise errors.InputError(f'--profile: cannot read {name}: {os.strerror(error.errno or 0)}') from error
    except ValueError as error:
        raise errors.InputError(f'--profile {name} is no TOML file ({error})') from error


def _shipped_text() -> str:
    return importlib.resources.files('panpipe.components').joinpath('profiles.toml').read_text()


def toleration(taint: str) -> dict[str, str]:
    """Reads KEY[=VALUE]:EFFECT as the toleration of a pod."""
    key, _, effect = taint.rpartition(':')
    key, is_equal, value = key.partition('=')
    if is_equal:
        return {'key': key, 'operator': 'Equal', 'value': value, 'effect': effect}
    return {'key': key, 'operator': 'Exists', 'effect': effect}
