# SPDX-License-Identifier: Apache-2.0
"""Values of people's JSON files have the type that is expected, or are named with what they must be."""

import json
import math

import hypothesis
import pytest
from hypothesis import strategies as st

from panpipe.model import errors
from panpipe.pipelines.sources import fields

FEWER = hypothesis.settings(deadline=None, max_examples=50)
TEXTS = st.sampled_from(['', '0', 'a\nb', 'é', 'a\0', '\ud800'])
SCALARS = st.none() | st.booleans() | st.integers(-3, 10**6) | st.floats() | TEXTS
VALUES = SCALARS | st.lists(SCALARS, max_size=2) | st.dictionaries(TEXTS, SCALARS, max_size=2)


def _of(value, name='x'):
    return fields.Fields.of({name: value}, 'a.json', 'segment')


def _is_number(value):
    return type(value) in (int, float) and math.isfinite(value) and value >= 0


def _is_64_bits(value):
    return type(value) is int and abs(value) < 2**63


# What each reader takes, and what it calls that.
READERS = {
    'whole': (lambda value: type(value) is int, 'must be a whole number; correct the file'),
    'number': (_is_number, 'must be a number from 0 on; correct the file'),
    'text': (lambda value: value in ('0', 'a\nb', 'é'), 'must be a text; correct'),
    'identity': (lambda value: _is_64_bits(value) or READERS['text'][0](value), 'a text; correct'),
    'flag': (lambda value: value is None or (type(value) in (int, bool) and value in (0, 1)), 'must be 0 or'),
}


@pytest.mark.parametrize('reader', READERS)
@FEWER
@hypothesis.given(value=VALUES)
def test_a_value_is_returned_or_told(reader, value):
    is_right, words = READERS[reader]
    told = _of(value)
    if is_right(value):
        assert getattr(told, reader)('x') == value
        return
    with pytest.raises(errors.InputError) as caught:
        getattr(told, reader)('x')
    assert str(caught.value).startswith('a.json: x of the segment {"x": ')
    assert words in str(caught.value)
    assert '\n' not in str(caught.value)


@pytest.mark.parametrize('reader', sorted(set(READERS) - {'flag'}))
def test_an_absent_field_is_told(reader):
    with pytest.raises(errors.InputError, match=r'^a.json: the segment {"y": 1} has no x; add it$'):
        getattr(_of(1, 'y'), reader)('x')


def test_an_absent_flag_is_none():
    assert _of(1, 'y').flag('x') is None
    assert _of(None).flag('x') is None
    assert _of(0).flag('x') is False
    assert _of(True).flag('x') is True


def test_whole_floats_become_integers():
    value = _of(3.0).number('x')
    assert (value, type(value)) == (3, int)
    assert type(_of(3.5).number('x')) is float


@pytest.mark.parametrize('lone', ['\ud800', 'a\udfffb'])
def test_what_utf8_cannot_hold_is_no_text(lone):
    assert not fields.is_printable(lone)
    with pytest.raises(errors.InputError, match='must be a text'):
        _of(lone).text('x')


def test_objects_are_read_one_by_one():
    inner = list(_of([{'id': 1}, {'id': 2}]).objects('x', 'category'))
    assert [one.whole('id') for one in inner] == [1, 2]
    assert {(one.where, one.noun) for one in inner} == {('a.json', 'category')}


@pytest.mark.parametrize(
    ('value', 'words'),
    [
        ({}, 'x of the segment {"x": {}} must be a list; correct the file'),
        ([{}, 7], 'the category 7 must be an object; correct the file'),
        (['{}'], 'the category "{}" must be an object'),
        ([[]], r'the category \[\] must be an object'),
    ],
)
def test_wrong_lists_are_told(value, words):
    with pytest.raises(errors.InputError, match=f'^a.json: {words}'):
        list(_of(value).objects('x', 'category'))


@pytest.mark.parametrize('told', [None, 1, 'text', [], True])
def test_what_is_no_object_is_told(told):
    with pytest.raises(errors.InputError, match=r'^a.json: the image .* must be an object; correct'):
        fields.Fields.of(told, 'a.json', 'image')


@FEWER
@hypothesis.given(VALUES)
def test_values_are_shown_shortly(value):
    shown = fields.short(value)
    assert len(shown) <= 121
    assert '\n' not in shown
    assert json.dumps(value).startswith(shown.removesuffix('…'))


def test_long_values_are_shown_by_their_beginning():
    shown = fields.short(['x' * 1000])
    assert shown.startswith('["xxx')
    assert shown.endswith('x…')
    assert fields.short('x' * 118) == f'"{"x" * 118}"'


FORM = 'a panoptic JSON file'


def _read(tmp_path, content, needed=('annotations',)):
    path = tmp_path / 'a.json'
    path.write_bytes(content)
    return fields.read(str(path), FORM, needed)


@pytest.mark.parametrize('mark', [b'', b'\xef\xbb\xbf'])
def test_a_file_may_begin_with_a_byte_order_mark(mark, tmp_path):
    content = _read(tmp_path, mark + b'{"annotations": [], "more": {}}')
    assert content.told == {'annotations': [], 'more': {}}
    assert (content.where, content.noun) == (str(tmp_path / 'a.json'), 'file')


@pytest.mark.parametrize(
    ('content', 'reason'),
    [
        (b'', 'JSONDecodeError: .*'),
        (b'{"annotations": [', 'JSONDecodeError: .*'),
        (b'\xff\xd8\xff\xe0', 'UnicodeDecodeError: .*'),
        (b'[' * 10**5, 'RecursionError: .*'),
        (b'[]', 'it holds no object'),
        (b'{}', 'it has no list of annotations'),
        (b'{"annotations": {}}', 'it has no list of annotations'),
        (b'{"annotations": null}', 'it has no list of annotations'),
    ],
)
def test_files_of_another_form_are_told(content, reason, tmp_path):
    words = rf'a\.json is not {FORM} \({reason}\); fetch it again$'
    with pytest.raises(errors.InputError, match=words):
        _read(tmp_path, content)


def test_the_first_missing_list_is_named(tmp_path):
    with pytest.raises(errors.InputError, match='it has no list of categories'):
        _read(tmp_path, b'{"images": []}', ('images', 'categories', 'annotations'))


def test_a_missing_file_is_told(tmp_path):
    with pytest.raises(errors.InputError, match=r'cannot read .*none.json: it is missing'):
        fields.read(str(tmp_path / 'none.json'), FORM, ())
