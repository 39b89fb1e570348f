# SPDX-License-Identifier: Apache-2.0
import dataclasses
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from panpipe.model import errors, labels
from panpipe.model.metrics import quality, result_files, results

LABELS = labels.LabelSpec(3, (2,), 100, 255)
CLASSES = {'road': 0, 'sky': 1, 'car': 2}
FIGURES = st.none() | st.floats(0, 100)
GROUPS = st.builds(results.Groups, FIGURES, FIGURES, FIGURES)
RESULTS = st.builds(
    results.Result,
    st.text(min_size=1),
    st.integers(0, 9),
    *[GROUPS] * 3,
    st.builds(results.ClassCounts, *[st.integers(0, 9)] * 3),
    FIGURES,
    st.dictionaries(st.text(), st.builds(results.ClassFigures, *[FIGURES] * 4), max_size=3),
    instance=st.none() | st.builds(results.Precision, ap=FIGURES),
    ours=st.none() | st.builds(results.Means, GROUPS, GROUPS, GROUPS, FIGURES),
    ambiguous_images=st.none() | st.lists(st.integers() | st.text(), max_size=3).map(tuple),
    intervals=st.none()
    | st.builds(
        results.Intervals,
        st.just(95),
        st.just(1000),
        st.fixed_dictionaries({'all': st.none() | st.tuples(st.floats(0, 1), st.floats(0, 1))}),
        st.none(),
    ),
    confusion=st.none() | st.just(results.Confusion(('road', ''), ((1, 2, 0), (0, 0, 3)))),
    losses=st.none() | st.just({'total': 0.5, 'center': None}),
)


@given(RESULTS)
def test_what_is_written_is_read(tmp_path_factory, result):
    path = tmp_path_factory.mktemp('result') / 'score.json'
    result_files.write(path, result)
    assert result_files.read(path, 'score') == result


@pytest.mark.parametrize(
    ('change', 'words'),
    [
        (lambda told: told.pop('schema'), 'schema None, and this version of panpipe reads 1'),
        (lambda told: told.update(schema=2), 'schema 2, and this version of panpipe reads 1'),
        (lambda told: told.pop('miou'), 'miou is missing'),
        (lambda told: told.update(more=1), 'more is unknown'),
        (lambda told: told['pq'].update(all='x'), "pq.all is 'x', not a number"),
        (lambda told: told['per_class']['road'].update(iou=[]), "per_class.road.iou is '[]', not a number"),
        (lambda told: told.update(num_images=1.5), "num_images is '1.5', not a whole number"),
        (lambda told: told.update(num_images=True), "num_images is 'True', not a whole number"),
        (lambda told: told.update(evaluator=None), "evaluator is 'None', not a text"),
    ],
)
def test_another_form_is_told_in_a_line(tmp_path, change, words):
    path = tmp_path / 'score.json'
    result_files.write(path, _result())
    told = json.loads(path.read_text())
    change(told)
    path.write_text(json.dumps(told))
    with pytest.raises(errors.InputError) as caught:
        result_files.read(path, 'score')
    assert words in str(caught.value)
    assert 'score' in str(caught.value)


def test_images_have_a_line_each(tmp_path):
    path = tmp_path / 'evaluation.json'
    images = [results.ImageFigures(50.0, 60.0, 70.0, 1, 2, 3, name, None) for name in ('a', 'b')]
    result_files.write_images(path, images)
    assert result_files.read_images(path, 'evaluate') == images
    assert len((tmp_path / 'evaluation.images.jsonl').read_text().splitlines()) == 2
    (tmp_path / 'evaluation.images.jsonl').write_text('{')
    with pytest.raises(errors.InputError, match=r'evaluation\.images\.jsonl is damaged'):
        result_files.read_images(path, 'evaluate')


def _result():
    truth = np.int32([[0, 0, 201, 25500]])
    prediction = np.int32([[0, 100, 201, 25500]])
    segments = quality.PanopticQuality.from_maps(truth, prediction, LABELS)
    pixels = quality.ConfusionMatrix.from_maps(truth // 100, np.minimum(prediction // 100, 3), LABELS)
    return results.of_counts(segments, pixels, CLASSES, 'panpipe', 1)


def test_a_result_of_counts():
    found = _result()
    # Road: IoU 1/2 is no match; sky is predicted and not there; the car matches.
    assert (found.pq.all, found.pq.things, found.pq.stuff) == (pytest.approx(100 / 3), 100, 0)
    assert found.num_classes == results.ClassCounts(3, 1, 2)
    assert found.per_class['car'] == results.ClassFigures(100, 100, 100, 100)
    assert found.per_class['road'].iou == 50
    assert found.miou == pytest.approx(50)


def test_semantic_only_has_no_panoptic_quality():
    pixels = quality.ConfusionMatrix.from_maps(np.int32([[0, 1]]), np.int32([[0, 1]]), LABELS)
    found = results.of_counts(None, pixels, CLASSES, 'panpipe', 1)
    assert found.pq == results.NOTHING
    assert found.miou == 100
    assert set(found.per_class) == {'road', 'sky'}


def test_differences_are_defined_where_both_are():
    one, other = results.Groups(3.0, None, 2.0), results.Groups(1.0, 1.0, None)
    assert one.minus(other) == results.Groups(2.0, None, None)
    assert dataclasses.astuple(results.NOTHING) == (None, None, None)
