# SPDX-License-Identifier: Apache-2.0
"""Results come back from JSON as they were, and what does not fit is told with its place."""

import collections.abc
import dataclasses
import doctest
import json
import types
import typing
from collections.abc import Mapping
from typing import Any

import hypothesis
import pytest
from hypothesis import strategies as st

from panpipe.model.metrics import oracle_results, results
from panpipe.model.storage import typed_json

NAMES = st.sampled_from(['all', 'car', 'pole with sign', 'é'])
SCALARS = {
    int: st.integers(-(2**40), 2**40),
    float: st.floats(allow_nan=False, allow_infinity=False, width=32),
    str: NAMES,
    bool: st.booleans(),
    types.NoneType: st.none(),
}
# What result files hold.
KINDS = [
    *(results.Result, results.ImageFigures, oracle_results.OracleResult),
    *(results.Precision, results.Confusion, results.Intervals, results.BoundaryFigures),
]


def _values(kind):
    """Draws values of a type, such as the fields of dataclasses have."""
    origin, parts = typing.get_origin(kind), typing.get_args(kind)
    if dataclasses.is_dataclass(kind):
        hints = typing.get_type_hints(kind)
        return st.builds(
            kind, **{field.name: _values(hints[field.name]) for field in dataclasses.fields(kind)}
        )
    if origin in (typing.Union, types.UnionType):
        return st.one_of(*map(_values, parts))
    if origin is collections.abc.Mapping:
        return st.dictionaries(NAMES, _values(parts[1]), max_size=2)
    if origin is tuple and parts[-1] is Ellipsis:
        return st.lists(_values(parts[0]), max_size=2).map(tuple)
    if origin is tuple:
        return st.tuples(*map(_values, parts))
    return SCALARS[kind]


@pytest.mark.parametrize('kind', KINDS)
@hypothesis.settings(deadline=None, max_examples=8, suppress_health_check=list(hypothesis.HealthCheck))
@hypothesis.given(data=st.data())
def test_what_is_encoded_comes_back(kind, data):
    value = data.draw(_values(kind))
    text = json.dumps(typed_json.encode(value), allow_nan=False)
    assert typed_json.decode(kind, json.loads(text)) == value


@dataclasses.dataclass(frozen=True)
class Point:
    """Holds one of each kind of field."""

    x: float
    name: str
    count: int = 0
    is_new: bool = False
    size: tuple[int, int] | None = None
    more: tuple[str, ...] = ()
    by_name: Mapping[str, 'Point'] = dataclasses.field(default_factory=dict)
    id: str | int = 0
    anything: Any = None


POINT = {'x': 1, 'name': 'a'}


def test_defaults_fill_in():
    assert typed_json.decode(Point, POINT) == Point(1.0, 'a')
    assert type(typed_json.decode(Point, POINT).x) is float


def test_what_is_none_by_default_is_left_out():
    assert typed_json.encode(Point(1.0, 'a')) == {
        **POINT, 'count': 0, 'is_new': False, 'more': [], 'by_name': {}, 'id': 0,
    }  # fmt: skip
    assert typed_json.encode(results.NOTHING) == {'all': None, 'things': None, 'stuff': None}


def test_anything_passes_where_anything_may_be():
    content = {'a': [1, None, {'b': 2}]}
    assert typed_json.decode(Point, {**POINT, 'anything': content}).anything == content


@pytest.mark.parametrize('value', ['nine', 9])
def test_alternatives_are_tried_in_turn(value):
    assert typed_json.decode(Point, {**POINT, 'id': value}).id == value


@pytest.mark.parametrize(
    ('changes', 'words'),
    [
        ({'x': '1'}, "x is '1', not a number"),
        ({'x': True}, "x is 'True', not a number"),
        ({'x': None}, "x is 'None', not a number"),
        ({'x': 10**400}, "x is '1000*', not a number"),
        ({'x': -(10**400)}, "x is '-1000*', not a number"),
        ({'name': 1}, "name is '1', not a text"),
        ({'count': 1.0}, "count is '1.0', not a whole number"),
        ({'count': True}, "count is 'True', not a whole number"),
        ({'is_new': 1}, "is_new is '1', not true or false"),
        ({'size': [1]}, r"size is '\[1\]', not a list of 2"),
        ({'size': 'ab'}, "size is 'ab', not a list"),
        ({'size': [1, 'b']}, r"size\[1\] is 'b', not a whole number"),
        ({'more': ['a', 'b', 3]}, r"more\[2\] is '3', not a text"),
        ({'by_name': []}, r"by_name is '\[\]', not an object"),
        ({'by_name': {'b': 3}}, "by_name.b is '3', not an object"),
        ({'by_name': {'b': {**POINT, 'x': 'y'}}}, "by_name.b.x is 'y', not a number"),
        ({'by_name': {'b': {'x': 1}}}, 'by_name.b.name is missing'),
        ({'by_name': {'b': {**POINT, 'z': 1}}}, 'by_name.b.z is unknown'),
        ({'id': 1.5}, "id is '1.5', not a whole number"),
        ({'w': 1, 'v': 2}, 'v is unknown'),
    ],
)
def test_what_does_not_fit_is_told_with_its_place(changes, words):
    with pytest.raises(ValueError, match=f'^{words}$'):
        typed_json.decode(Point, {**POINT, **changes})


@pytest.mark.parametrize('content', [None, 1, 'text', [POINT]])
def test_the_outermost_value_must_be_an_object(content):
    with pytest.raises(ValueError, match=r'^it is .*, not an object$'):
        typed_json.decode(Point, content)


def test_long_values_are_told_by_their_beginning():
    with pytest.raises(ValueError, match=f"^x is '{'y' * 40}', not a number$"):
        typed_json.decode(Point, {**POINT, 'x': 'y' * 1000})


@pytest.mark.parametrize('kind', KINDS)
def test_every_field_without_a_default_is_needed(kind):
    for field in dataclasses.fields(kind):
        if field.default is field.default_factory:
            names = [one.name for one in dataclasses.fields(kind)]
            needed = dict.fromkeys(names[: names.index(field.name)])
            with pytest.raises(ValueError, match=f'^{field.name} is missing$'):
                typed_json.decode(kind, needed)


def test_the_documented_example_holds():
    assert doctest.testmod(typed_json).failed == 0
