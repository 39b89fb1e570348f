# SPDX-License-Identifier: Apache-2.0
import dataclasses

import pytest

from panpipe.components import metrics
from panpipe.model import errors
from panpipe.model.metrics import result_files, results

SCORE = results.Result(
    evaluator='e',
    num_images=2,
    pq=results.Groups(60.0, 50.0, 70.0),
    sq=results.Groups(80.0, None, None),
    rq=results.NOTHING,
    num_classes=results.ClassCounts(3, 1, 2),
    miou=71.0,
    per_class={},
    instance=results.Precision(evaluator='i', ap=30.0),
)


@pytest.fixture
def path(tmp_path):
    file = tmp_path / 'score.json'
    result_files.write(file, SCORE)
    return str(file)


def test_official_figures_are_flat(path):
    expected = {'pq': 60.0, 'pq_things': 50.0, 'pq_stuff': 70.0, 'sq': 80.0, 'miou': 71.0, 'ap': 30.0}
    assert metrics.official(path) == expected


def test_tables_show_what_there_is(path):
    lines = metrics.markdown(path).splitlines()
    rows = [line.replace('&emsp;', '') for line in lines[2:4]]
    assert rows == ['| all | 60.0 | 80.0 | – |', '| things | 50.0 | – | – |']
    assert all(line.count('&emsp;') == 4 for line in lines[2:4])  # else the columns touch in the interface
    assert metrics.table(path).splitlines()[-3:] == ['mIoU      71.0', 'AP        30.0', 'per cent, by e']


def test_an_evaluation_has_the_names_of_a_score_and_losses(tmp_path):
    found = dataclasses.replace(SCORE, losses={'total': 0.5, 'center': None})
    result_files.write(tmp_path / 'evaluation.json', found)
    assert metrics.evaluation(str(tmp_path)) == {
        **{'pq': 60.0, 'pq_things': 50.0, 'pq_stuff': 70.0, 'sq': 80.0, 'miou': 71.0, 'ap': 30.0},
        'losses.total': 0.5,
    }


def test_confusion_names_the_classes_that_occur(tmp_path):
    counts = [[0] * 5 for _ in range(4)]
    counts[0][0], counts[0][2], counts[2][2], counts[2][4], counts[3][3] = 5, 1, 4, 2, 9
    confusion = results.Confusion(('road', 'sky', 'car', ''), tuple(map(tuple, counts)))
    result_files.write(tmp_path / 'evaluation.json', dataclasses.replace(SCORE, confusion=confusion))
    names, matrix = metrics.confusion(str(tmp_path))
    assert names == ['road', 'car']
    assert matrix == [[5, 1], [0, 4]]


def test_a_model_is_accepted_at_its_lowest_quality_and_above(path):
    assert metrics.accepted(path, 60.0) == {'pq': 60.0, 'min_pq': 60.0}
    with pytest.raises(errors.JobError, match=r'PQ 60\.00 is below min_pq 60\.01'):
        metrics.accepted(path, 60.01)


def test_without_a_lowest_quality_everything_is_accepted(path, tmp_path):
    assert metrics.accepted(path, 0.0) == {'pq': 60.0}
    semantic = tmp_path / 'semantic.json'
    result_files.write(semantic, dataclasses.replace(SCORE, pq=results.NOTHING, sq=results.NOTHING))
    assert metrics.accepted(str(semantic), 0.0) == {}
    with pytest.raises(errors.JobError, match='holds no PQ'):
        metrics.accepted(str(semantic), 1.0)
