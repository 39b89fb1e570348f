# SPDX-License-Identifier: Apache-2.0
"""Large JSON files read piece by piece are what they are when read as a whole."""

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from panpipe.model import labels
from panpipe.model.storage import files
from panpipe.pipelines.sources import segment_lists, streams

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=4),
    max_leaves=12,
)
PLACE = 'memory://streams/file.json'


def _read(content, piece, replacements):
    files.write_whole(PLACE, content)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(streams, '_PIECE', piece)
        try:
            return streams.read(PLACE, replacements)
        except ValueError:
            return ValueError


def _whole(content, replacements):
    try:
        found = json.loads(content)
    except ValueError:
        return ValueError
    if isinstance(found, dict) and isinstance(found.get('a'), list):
        found['a'] = [replacements['a'](one) for one in found['a']]
    return found


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    VALUES | st.dictionaries(st.sampled_from('ab'), st.lists(VALUES, max_size=4)),
    st.integers(1, 9),
    st.sampled_from([None, 2]),
    st.sampled_from(['utf-8', 'utf-8-sig', 'utf-16']),
    st.booleans(),
)
def test_pieces_make_the_whole(content, piece, indent, encoding, is_ascii):
    text = json.dumps(content, indent=indent, ensure_ascii=is_ascii).encode(encoding, 'surrogatepass')
    assert _read(text, piece, {'a': repr}) == _whole(text, {'a': repr})


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(st.sampled_from('ab'), st.lists(VALUES, max_size=4)), st.data())
def test_spoilt_text_is_read_or_refused_alike(content, data):
    text = bytearray(json.dumps(content).encode())
    text[data.draw(st.integers(0, len(text) - 1))] = data.draw(st.sampled_from(b'{}[],:"1 x'))
    assert _read(bytes(text), 3, {'a': repr}) == _whole(bytes(text), {'a': repr})


SEGMENTS = st.builds(
    labels.Segment,
    id=st.integers(1, 256**3 - 1),
    category_id=st.integers(0, 300),
    area=st.integers(0, 10**7),
    is_crowd=st.booleans(),
)


@given(st.lists(SEGMENTS, unique_by=lambda segment: segment.id, max_size=5))
def test_segments_are_kept_as_they_are(segments):
    told = [
        {'id': s.id, 'category_id': s.category_id, 'area': s.area, 'iscrowd': int(s.is_crowd)}
        for s in segments
    ]
    found = segment_lists.Segments.of(told, has_areas=True)
    assert found == segments == list(found)
    assert [found[i] for i in range(len(found))] == segments
    assert found.are_plain(range(301)) == (not any(s.is_crowd for s in segments))
    assert found.are_plain([]) == (not segments)


@pytest.mark.parametrize(
    'wrong',
    [
        {'id': 0}, {'id': 256**3}, {'id': 1.0}, {'id': True}, {'category_id': '7'}, {'category_id': 2**60},
        {'area': -1}, {'area': 1.5}, {'area': None}, {'iscrowd': 2}, {'iscrowd': 'no'}, {'iscrowd': 1.0},
    ],
)  # fmt: skip
def test_what_may_be_wrong_is_left_for_a_closer_look(wrong):
    sound = {'id': 1, 'category_id': 7, 'area': 4, 'iscrowd': 0}
    assert segment_lists.Segments.of([sound], has_areas=True) is not None
    assert segment_lists.Segments.of([{**sound, **wrong}], has_areas=True) is None
    assert segment_lists.Segments.of([sound, sound], has_areas=True) is None
    assert segment_lists.Segments.of([7], has_areas=True) is None
