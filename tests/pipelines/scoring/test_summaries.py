# SPDX-License-Identifier: Apache-2.0
"""What the official evaluators found becomes a result in per cent, with nothing where nothing occurs."""

import pytest

from panpipe.model.metrics import results
from panpipe.pipelines.scoring import summaries

GROUP = {'pq': 0.5, 'sq': 0.75, 'rq': 0.625, 'n': 2}
FOUND = {
    'groups': {'all': GROUP, 'things': {**GROUP, 'pq': 0.25, 'n': 1}},
    'per_class': {'car': {'pq': 0.25, 'sq': 0.5, 'rq': 0.5}, 'road': {'pq': 0.75, 'sq': 1.0, 'rq': 0.75}},
}


def _made(miou=0.5, ious=None, found=FOUND):
    return summaries.official(found, miou, ious or {}, 'an evaluator 1.0', 3)


def test_fractions_become_per_cent():
    made = _made()
    assert made.pq == results.Groups(50.0, 25.0, None)
    assert made.sq == results.Groups(75.0, 75.0, None)
    assert made.rq == results.Groups(62.5, 62.5, None)
    assert made.miou == 50.0
    assert (made.evaluator, made.num_images) == ('an evaluator 1.0', 3)


def test_groups_that_do_not_occur_count_no_class():
    assert _made().num_classes == results.ClassCounts(all=2, things=1, stuff=0)


def test_classes_are_joined_with_their_ious():
    per_class = _made(ious={'road': 0.5, 'sky': 0.125}).per_class
    assert per_class == {
        'road': results.ClassFigures(75.0, 100.0, 75.0, 50.0),
        'sky': results.ClassFigures(None, None, None, 12.5),
        'car': results.ClassFigures(25.0, 50.0, 50.0, None),
    }


def test_nothing_is_none():
    made = _made(None, found={'groups': {}, 'per_class': {}})
    assert made.pq == made.sq == made.rq == results.NOTHING
    assert made.miou is None
    assert made.per_class == {}
    assert made.num_classes == results.ClassCounts()


@pytest.mark.parametrize('section', ['instance', 'ours', 'difference', 'intervals', 'losses', 'step'])
def test_sections_of_other_jobs_stay_empty(section):
    assert getattr(_made(), section) is None
