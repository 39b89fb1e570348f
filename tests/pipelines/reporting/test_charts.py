# SPDX-License-Identifier: Apache-2.0
"""Charts are SVG, the same each time, with the classes that occur under the names that people gave them."""

import re
import xml.etree.ElementTree

import matplotlib.figure
import numpy as np
import pytest

from panpipe.pipelines.reporting import charts

# Truths of three classes, of which the second neither occurs nor is predicted; the last column is none.
COUNTS = np.array([[3, 0, 1, 0], [0, 0, 0, 0], [0, 0, 2, 2]])
NAMES = ('road', 'sky', 'car')


def _texts(svg):
    root = xml.etree.ElementTree.fromstring(svg)
    return [element.text for element in root.iter('{http://www.w3.org/2000/svg}text')]


def test_a_matrix_shows_the_shares_of_true_classes():
    texts = _texts(charts.confusion(COUNTS, NAMES))
    assert sorted(text for text in texts if text.isdecimal()) == ['25', '50', '75']
    assert {'predicted', 'true'} <= set(texts)


def test_classes_that_do_not_occur_are_left_out():
    texts = _texts(charts.confusion(COUNTS, NAMES))
    assert texts.count('road') == texts.count('car') == 2
    assert 'sky' not in texts


def test_a_class_that_is_only_predicted_is_shown():
    texts = _texts(charts.confusion(np.array([[1, 1, 0], [0, 0, 0]]), ('road', 'sky')))
    assert texts.count('sky') == 2
    assert [text for text in texts if text.isdecimal()] == ['50', '50']


def test_scaling_the_counts_of_a_class_changes_nothing():
    factors = np.array([[7], [1], [2]])
    assert charts.confusion(COUNTS * factors, NAMES) == charts.confusion(COUNTS, NAMES)


def test_small_shares_have_no_figure():
    texts = _texts(charts.confusion(np.array([[996, 4, 0], [0, 1, 0]]), ('road', 'sky')))
    assert sorted(text for text in texts if text.isdecimal()) == ['100', '100']


@pytest.mark.parametrize('name', ['a < b & "c"', '$\\x$', '$', '_x^2', 'é', '{a}', '%s'])
def test_any_name_is_shown_as_it_is(name):
    assert _texts(charts.confusion(COUNTS, (name, 'sky', 'car'))).count(name) == 2


def test_many_classes_have_no_names():
    counts = np.eye(50, 51, dtype=int)
    texts = _texts(charts.confusion(counts, [f'class {i}' for i in range(50)]))
    assert sorted(texts) == ['predicted', 'true']


def test_a_chart_is_the_same_each_time_and_an_element_alone():
    first, second = (charts.confusion(COUNTS, NAMES) for _ in range(2))
    assert first == second
    assert first.startswith('<svg')
    assert first.rstrip().endswith('</svg>')
    assert '<dc:date>' not in first
    assert 'Matplotlib' not in first


def test_two_charts_on_a_page_have_ids_of_their_own():
    figure = matplotlib.figure.Figure()
    figure.add_subplot().plot([1, 2])
    found = [set(re.findall(r'clipPath id="(\w+)"', charts.svg(figure, salt))) for salt in ('a', 'b', 'a')]
    assert found[0]
    assert found[0] == found[2]
    assert found[0].isdisjoint(found[1])


def test_nothing_is_black_or_white_on_purpose():
    # Legible on white and on black: the paper is transparent, and names are grey.
    svg = charts.confusion(COUNTS, NAMES)
    assert charts.GREY in svg
    assert 'fill: none' in svg


def test_bars_name_their_groups_and_series():
    drawn = charts.bars(['road', 'a$b$'], {'train': [1.0, 0.0], 'val': [2.0, 3.0]}, is_log=True)
    assert drawn == charts.bars(['road', 'a$b$'], {'train': [1.0, 0.0], 'val': [2.0, 3.0]}, is_log=True)
    for text in ('road', 'a$b$', 'train', 'val'):
        assert f'>{text}</text>' in drawn
