# SPDX-License-Identifier: Apache-2.0
"""Names of images are paired however file systems and annotation tools wrote them."""

import doctest
import unicodedata

import hypothesis
import pytest
from hypothesis import strategies as st

from panpipe.pipelines.sources import names

FEWER = hypothesis.settings(deadline=None, max_examples=50)
PARTS = st.sampled_from(['a', 'A', 'b', 'é', 'ü.1', 'im 2', '東京'])
PATHS = st.builds(
    lambda folders, name, ending: '/'.join([*folders, name + ending]),
    st.lists(PARTS, max_size=2),
    PARTS,
    st.sampled_from(['', '.jpg', '.png', '.tif']),
)


def _decomposed(path):
    return unicodedata.normalize('NFD', path)


def _windows(path):
    return path.replace('/', '\\')


def _dotted(path):
    return f'./{path}'


def _doubled(path):
    return f'././{path}'.replace('/', '//')


SPELLINGS = [_decomposed, _windows, _dotted, _doubled, lambda path: _dotted(_windows(_decomposed(path)))]


@pytest.mark.parametrize('spell', SPELLINGS)
@FEWER
@hypothesis.given(PATHS)
def test_a_name_is_the_same_however_it_is_spelled(spell, path):
    assert names.normal(spell(path)) == names.normal(path) == path
    assert names.without_ending(spell(path)) == names.without_ending(path)
    assert names.last(spell(path)) == names.last(path)


@FEWER
@hypothesis.given(PATHS)
def test_the_forms_grow_shorter(path):
    whole, bare, last = names.normal(path), names.without_ending(path), names.last(path)
    assert whole.startswith(bare)
    assert bare.endswith(last)
    assert '/' not in last


@pytest.mark.parametrize(
    ('path', 'bare'),
    [('a.tar.gz', 'a.tar'), ('.hidden', '.hidden'), ('v1.2/image', 'v1.2/image'), ('a.b/c.d.e', 'a.b/c.d')],
)
def test_the_last_ending_alone_is_left_out(path, bare):
    assert names.without_ending(path) == bare


def _rounds(wanted, there):
    """Pairs by the letter of the docstring: four rounds, in each of which a reading must be unique."""
    found = {}
    for key in (names.normal, names.without_ending, names.last, lambda path: names.last(path).casefold()):
        mine = [name for name in wanted if name not in found]
        yours = [name for name in there if name not in found.values()]
        for name in mine:
            alike = [one for one in yours if key(one) == key(name)]
            rivals = [one for one in mine if key(one) == key(name)]
            if len(alike) == len(rivals) == 1:
                found = {**found, name: alike[0]}
    return found


SETS = st.lists(PATHS, max_size=5, unique=True)


@FEWER
@hypothesis.given(SETS, SETS)
def test_pairs_equal_brute_force(wanted, there):
    assert names.pair(wanted, there) == _rounds(wanted, there)


@FEWER
@hypothesis.given(SETS, SETS)
def test_a_name_has_one_partner_at_most(wanted, there):
    found = names.pair(wanted, there)
    assert set(found) <= set(wanted)
    assert set(found.values()) <= set(there)
    assert len(set(found.values())) == len(found)


@FEWER
@hypothesis.given(SETS, SETS)
def test_pairs_are_the_same_from_either_side(wanted, there):
    forward, backward = names.pair(wanted, there), names.pair(there, wanted)
    assert forward == {mine: yours for yours, mine in backward.items()}


@FEWER
@hypothesis.given(SETS, SETS, st.randoms())
def test_the_order_of_names_changes_nothing(wanted, there, random):
    expected = names.pair(wanted, there)
    random.shuffle(wanted)
    random.shuffle(there)
    assert names.pair(wanted, there) == expected


@pytest.mark.parametrize('spell', SPELLINGS)
@FEWER
@hypothesis.given(SETS)
def test_every_name_finds_its_other_spelling(spell, paths):
    assert names.pair(paths, [spell(path) for path in paths]) == {path: spell(path) for path in paths}


def test_names_that_read_alike_stay_alone():
    assert names.pair(['a/1.jpg', 'b/1.jpg'], ['c/1.jpg']) == {}
    assert names.pair(['1.jpg'], ['a/1.jpg', 'b/1.jpg']) == {}
    assert names.pair(['1A.JPG', '2.jpg'], ['1a.jpg', '2.jpg']) == {'1A.JPG': '1a.jpg', '2.jpg': '2.jpg'}
    # A whole name comes first, so that it is no rival of the other later.
    assert names.pair(['1.jpg', '1.png'], ['1.jpg', '1.tif']) == {'1.jpg': '1.jpg', '1.png': '1.tif'}


def test_the_documented_examples_hold():
    assert doctest.testmod(names).failed == 0
