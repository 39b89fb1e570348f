# SPDX-License-Identifier: Apache-2.0
import pathlib

import pytest
import yaml

from panpipe.components import compilation, finished, profiles

ARGUMENTS = {'config': 'text', 'toy_images': 3}
FACTS = {'data': 'd1', 'code': 'c1'}
AFTER_TRAIN = {'train', 'evaluate', 'export', 'predict', 'score', 'accept', 'report'}


@pytest.fixture(scope='module')
def spec():
    document = compilation.compiled(compilation.Cluster(has_summary=False))
    return next(yaml.safe_load_all(document))


def _changed(spec, arguments, facts=FACTS):
    before, after = finished.keys(spec, ARGUMENTS, FACTS), finished.keys(spec, arguments, facts)
    return {name for name in before if before[name] != after[name]}


def test_steps_come_in_an_order_in_which_they_can_run(spec):
    order = list(finished.keys(spec, ARGUMENTS, FACTS))
    assert set(order) == set(profiles.STEPS) - {'summary'}
    for name, task in spec['root']['dag']['tasks'].items():
        assert all(order.index(other) < order.index(name) for other in task.get('dependentTasks', ()))


def test_the_same_has_the_same_keys_and_defaults_count_as_given(spec):
    assert not _changed(spec, dict(ARGUMENTS))
    assert not _changed(spec, {**ARGUMENTS, 'mode': 'train', 'min_pq': 0.0})


@pytest.mark.parametrize(
    ('changes', 'expected'),
    [
        ({'config': 'other'}, AFTER_TRAIN),
        ({'overrides': ['a=1']}, AFTER_TRAIN),
        ({'mode': 'train_and_eval'}, AFTER_TRAIN),
        ({'min_pq': 50.0}, {'accept'}),
        ({'raw_data': '/data'}, set(profiles.STEPS) - {'summary'}),
    ],
)
def test_a_change_touches_what_depends_on_it(changes, expected, spec):
    assert _changed(spec, {**ARGUMENTS, **changes}) == expected


@pytest.mark.parametrize('name', FACTS)
def test_data_and_code_touch_everything(name, spec):
    assert _changed(spec, ARGUMENTS, {**FACTS, name: 'other'}) == set(profiles.STEPS) - {'summary'}


def test_the_program_of_a_step_counts(spec):
    before = finished.keys(spec, ARGUMENTS, FACTS)
    other = yaml.safe_load(yaml.safe_dump(spec))
    other['deploymentSpec']['executors']['exec-score']['container']['command'].append('# changed')
    after = finished.keys(other, ARGUMENTS, FACTS)
    assert {name for name in before if before[name] != after[name]} == {'score', 'accept', 'report'}


def test_the_code_is_summed_up(monkeypatch, tmp_path):
    (tmp_path / 'a.py').write_text('1')
    (tmp_path / 'inner').mkdir()
    (tmp_path / 'inner' / 'b.json').write_text('2')
    monkeypatch.setattr(finished.importlib.resources, 'files', lambda room: pathlib.Path(tmp_path))
    first = finished.code()
    assert finished.code() == first
    (tmp_path / 'inner' / 'b.json').write_text('3')
    assert finished.code() != first
