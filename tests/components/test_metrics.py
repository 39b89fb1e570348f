# SPDX-License-Identifier: Apache-2.0
import json

import pytest

from panpipe.components import metrics
from panpipe.model import errors

SCORE = {
    'evaluator': 'e',
    'pq': {'all': 60.0, 'things': 50.0, 'stuff': 70.0},
    'sq': {'all': 80.0, 'things': None},
    'miou': 71.0,
    'instance': {'evaluator': 'i', 'ap': 30.0},
}


@pytest.fixture
def path(tmp_path):
    file = tmp_path / 'score.json'
    file.write_text(json.dumps(SCORE))
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


def test_evaluation_is_named_by_its_paths(tmp_path):
    content = {'step': 3, 'pq': {'PQ': 0.5}, 'name': 'x', 'done': True}
    (tmp_path / 'evaluation.json').write_text(json.dumps(content))
    assert metrics.evaluation(str(tmp_path)) == {'step': 3.0, 'pq.PQ': 0.5}


def test_confusion_names_the_classes_that_occur(tmp_path):
    counts = [[0] * 20 for _ in range(19)]
    counts[0][0], counts[0][13], counts[13][13], counts[13][19] = 5, 1, 4, 2
    (tmp_path / 'evaluation.json').write_text(json.dumps({'confusion': counts}))
    names, matrix = metrics.confusion(str(tmp_path), 'cityscapes_panoptic')
    assert names == ['road', 'car']
    assert matrix == [[5, 1], [0, 4]]


def test_a_model_is_accepted_at_its_lowest_quality_and_above(path):
    assert metrics.accepted(path, 60.0) == {'pq': 60.0, 'min_pq': 60.0}
    with pytest.raises(errors.JobError, match=r'PQ 60\.00 is below min_pq 60\.01'):
        metrics.accepted(path, 60.01)


def test_without_a_lowest_quality_everything_is_accepted(path, tmp_path):
    assert metrics.accepted(path, 0.0) == {'pq': 60.0}
    semantic = tmp_path / 'semantic.json'
    semantic.write_text('{"miou": 50.0}')
    assert metrics.accepted(str(semantic), 0.0) == {}
    with pytest.raises(errors.JobError, match='holds no PQ'):
        metrics.accepted(str(semantic), 1.0)
