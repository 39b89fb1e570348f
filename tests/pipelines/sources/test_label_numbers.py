# SPDX-License-Identifier: Apache-2.0
"""Label-id PNGs of Cityscapes are told from those that a training script overwrote with train ids."""

import hypothesis
import pytest
from hypothesis import strategies as st

from panpipe.model import datasets, errors
from panpipe.pipelines.sources import label_numbers

FEWER = hypothesis.settings(deadline=None, max_examples=50)
SPEC = datasets.SPECS['cityscapes_panoptic']
OFFICIAL = sorted(SPEC.from_official)
TRAIN = [*sorted(SPEC.by_id), 255]


def test_the_data_set_is_as_the_cityscapes_scripts_have_it():
    assert frozenset(range(34)) == label_numbers.LABEL_IDS
    assert set(OFFICIAL) <= label_numbers.LABEL_IDS
    assert [*range(19), 255] == TRAIN


@FEWER
@hypothesis.given(st.sets(st.sampled_from(range(34))))
def test_label_ids_pass_unless_they_might_all_be_train_ids(used):
    might_be = used <= set(TRAIN) and bool(used - set(OFFICIAL) - set(range(7)))
    assert label_numbers.are_train_ids(used) == might_be
    if not might_be:
        label_numbers.check({'a.png': used})


@FEWER
@hypothesis.given(st.sets(st.sampled_from(OFFICIAL)))
def test_evaluated_classes_are_never_taken_for_train_ids(used):
    assert not label_numbers.are_train_ids(used)


@FEWER
@hypothesis.given(st.sets(st.sampled_from(TRAIN)))
def test_void_gives_train_ids_away(used):
    assert label_numbers.are_train_ids({*used, 255})


def test_every_train_id_together_is_told_with_the_numbers():
    words = (
        '^a.png and the others of its split hold the numbers 0, 1, 2, .*, 18, 255: these look like train '
        'ids, not label ids; fetch the original files of gtFine_trainvaltest.zip again$'
    )
    with pytest.raises(errors.InputError, match=words):
        label_numbers.check({'a.png': TRAIN[:10], 'b.png': TRAIN[10:]})


def test_one_file_of_label_ids_speaks_for_its_split():
    low = {'a.png': {0, 9, 10}}
    with pytest.raises(errors.InputError, match='look like train ids'):
        label_numbers.check(low)
    label_numbers.check({**low, 'b.png': {26}})


@pytest.mark.parametrize('number', [34, 200, 255, 65535])
def test_other_numbers_are_told_with_their_file(number):
    words = rf'^b\.png holds the number {number}, which is no label id of Cityscapes \(0 to 33\); correct'
    with pytest.raises(errors.InputError, match=words):
        label_numbers.check({'a.png': {26}, 'b.png': {7, number, 300 + number}})


def test_no_file_is_no_mistake():
    label_numbers.check({})
    assert not label_numbers.are_train_ids(())
