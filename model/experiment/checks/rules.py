# SPDX-License-Identifier: Apache-2.0
"""All rules in one place: `check` a configuration, or ask for `advice`."""

import math
from collections.abc import Iterator

from panpipe.model import errors
from panpipe.model.experiment import schema, textproto
from panpipe.model.experiment.checks import data, masks, network, ranges, training


def check(experiment: schema.Experiment) -> None:
    """Raises `errors.InputError` with the first of `problems`, if there is one."""
    for problem in problems(experiment):
        raise errors.InputError(problem)


def problems(experiment: schema.Experiment) -> Iterator[str]:
    """Finds contradictions, one line each."""
    for rule in _RULES:
        yield from rule(experiment)


def advice(experiment: schema.Experiment) -> tuple[str, ...]:
    """Lists what works but is probably not meant, one line each."""
    return tuple(line for rule in _ADVICE for line in rule(experiment))


def _finite(experiment: schema.Experiment) -> Iterator[str]:
    yield from _not_finite(experiment, '')


def _not_finite(message: textproto.Message, prefix: str) -> Iterator[str]:
    for field in textproto.fields(type(message)):
        value = getattr(message, field.name)
        for item in value if field.is_repeated else (value,):
            if isinstance(item, textproto.Message):
                yield from _not_finite(item, f'{prefix}{field.name}.')
            elif isinstance(item, float) and not math.isfinite(item):
                yield f'{prefix}{field.name} is {item}; give a finite number'


_RULES = (_finite, *ranges.RULES, *network.RULES, *masks.RULES, *data.RULES, *training.RULES)
_ADVICE = (*network.ADVICE, *masks.ADVICE, *training.ADVICE)
