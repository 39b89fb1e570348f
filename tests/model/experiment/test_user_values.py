# SPDX-License-Identifier: Apache-2.0
"""`--set` changes one value and nothing else; variables fill strings; what does not fit is told."""

import dataclasses

import hypothesis
import pytest
from hypothesis import strategies as st

from panpipe.model import errors
from panpipe.model.experiment import schema, textproto, user_values

FEWER = hypothesis.settings(deadline=None, max_examples=50)
EMPTY = schema.Experiment()
SOLVER = 'trainer_options.solver_options'
ENTRIES = ['trainer_options.seed=3', 'experiment_name=a', f'{SOLVER}.weight_decay=1']


def _value(message, path):
    for name in path.split('.'):
        message = getattr(message, name)
    return message


@pytest.mark.parametrize(
    ('path', 'text', 'value'),
    [
        ('experiment_name', 'first', 'first'),
        ('experiment_name', 'a=b', 'a=b'),
        ('experiment_name', '', ''),
        (' experiment_name ', ' padded ', 'padded'),
        ('trainer_options.seed', '7', 7),
        ('trainer_options.seed', '-2147483648', -(2**31)),
        ('trainer_options.recompute', 'True', True),
        ('trainer_options.recompute', 'false', False),
        (f'{SOLVER}.weight_decay', '1e-4', 1e-4),
        (f'{SOLVER}.backbone_learning_rate_multiplier', '0.5', 0.5),
        (f'{SOLVER}.backbone_learning_rate_multiplier', '', None),
        ('train_dataset_options.crop_size', '33, 65', (33, 65)),
        ('train_dataset_options.crop_size', '', ()),
        ('train_dataset_options.file_pattern', 'a*, b*', ('a*', 'b*')),
        ('evaluator_options.eval_scales', '0.5,1', (0.5, 1.0)),
        ('trainer_options.loss_options.center_loss.name', 'mse', 'mse'),
    ],
)
def test_a_value_is_replaced(path, text, value):
    changed = user_values.override(EMPTY, f'{path}={text}')
    found = _value(changed, path.strip())
    assert found == (pytest.approx(value, rel=1e-6) if isinstance(value, float) else value)


def _paths(message, prefix=''):
    """Yields the paths of all scalar fields of messages that are there."""
    for field in textproto.fields(type(message)):
        value = getattr(message, field.name)
        if isinstance(value, textproto.Message):
            yield from _paths(value, f'{prefix}{field.name}.')
        elif not field.is_message and not field.is_repeated:
            yield f'{prefix}{field.name}', field.type


PATHS = sorted(_paths(EMPTY), key=lambda pair: pair[0])
TEXTS = {
    str: st.sampled_from(['a', 'b c', 'é']),
    bool: st.booleans().map(str),
    int: st.integers(-(2**31), 2**31 - 1).map(str),
    float: st.floats(-100, 100, width=32).map(str),
}


@FEWER
@hypothesis.given(st.sampled_from(PATHS).flatmap(lambda pair: st.tuples(st.just(pair), TEXTS[pair[1]])))
def test_one_value_changes_and_no_other(drawn):
    (path, kind), text = drawn
    changed = user_values.override(EMPTY, f'{path}={text}')
    assert _value(changed, path) == (text == 'True' if kind is bool else kind(text))
    for other, _ in PATHS:
        if other != path:
            assert _value(changed, other) == _value(EMPTY, other)
    assert schema.Experiment() == EMPTY


@FEWER
@hypothesis.given(st.permutations(ENTRIES))
def test_the_order_of_overrides_of_different_fields_changes_nothing(entries):
    changed = EMPTY
    for entry in entries:
        changed = user_values.override(changed, entry)
    assert changed == dataclasses.replace(
        EMPTY,
        experiment_name='a',
        trainer_options=schema.TrainerOptions(seed=3, solver_options=schema.SolverOptions(weight_decay=1)),
    )


def test_a_message_comes_into_being_and_goes():
    path = 'trainer_options.loss_options.center_loss'
    there = user_values.override(EMPTY, f'{path}.weight=2')
    assert _value(there, path) == schema.SingleLossOptions(weight=2)
    assert user_values.override(there, f'{path}=') == EMPTY


@pytest.mark.parametrize(
    ('entry', 'words'),
    [
        ('seed', '--set seed: there is no "=" in it; write field.of.fields=value'),
        ('seed=3', "Experiment has no field 'seed'; its fields are experiment_name, "),
        ('=3', "Experiment has no field ''"),
        ('trainer_options.sead=3', "TrainerOptions has no field 'sead'; did you mean 'seed'?"),
        ('trainer_options=3', 'trainer_options has fields; set one of num_checkpoints_to_keep, '),
        ('trainer_options.seed.value=3', 'seed holds a value, not fields; end the name there'),
        (
            'model_options.panoptic_deeplab.low_level.feature_key=a',
            'low_level is a list of messages; edit',
        ),
        ('trainer_options.seed=x', "'x' is not an integer of 32 bits"),
        ('trainer_options.seed=1.0', "'1.0' is not an integer of 32 bits"),
        ('trainer_options.seed=', "'' is not an integer of 32 bits"),
        ('trainer_options.seed=2147483648', "'2147483648' is not an integer of 32 bits"),
        ('trainer_options.recompute=1', "'1' is not true or false"),
        (f'{SOLVER}.weight_decay=much', "'much' is not a number"),
        ('train_dataset_options.crop_size=33,x', "'x' is not an integer of 32 bits"),
    ],
)
def test_what_does_not_fit_is_told(entry, words):
    with pytest.raises(errors.InputError) as caught:
        user_values.override(EMPTY, entry)
    assert str(caught.value).startswith(f'--set {entry}: ')
    assert words in str(caught.value)
    assert '\n' not in str(caught.value)


TEXT = """# ${A} in a comment
experiment_name: "${A}"  # and ${B}
model_options { initial_checkpoint: '${B}/x' }
train_dataset_options { file_pattern: "#${C}" file_pattern: "${A}" }
"""
WANTED = schema.Experiment(
    experiment_name='${A}',
    model_options=schema.ModelOptions(initial_checkpoint='${B}/x'),
    train_dataset_options=schema.DatasetOptions(file_pattern=('#${C}', '${A}')),
)


@pytest.fixture(autouse=True)
def variables(monkeypatch):
    """Unsets the variables of this file."""
    for name in 'ABC':
        monkeypatch.delenv(name, raising=False)
    return monkeypatch


def test_variables_fill_all_strings(variables):
    for name, value in {'A': 'a b', 'B': '', 'C': '${A}'}.items():
        variables.setenv(name, value)
    found = user_values.substitute(WANTED, TEXT, 'a.textproto')
    assert found.experiment_name == 'a b'
    assert found.model_options.initial_checkpoint == '/x'
    assert found.train_dataset_options.file_pattern == ('#${A}', 'a b')  # values are not read again


def test_without_placeholders_nothing_changes():
    assert user_values.substitute(EMPTY, '', 'a.textproto') == EMPTY


@pytest.mark.parametrize(
    ('set_already', 'words'),
    [
        ('', 'a.textproto:2:19: the environment variable A is not set; export A=VALUE or give --set '
             'experiment_name=VALUE; also unset: B, C'),
        ('A', 'a.textproto:3:38: the environment variable B is not set; export B=VALUE or give --set '
              'model_options.initial_checkpoint=VALUE; also unset: C'),
        ('AB', 'a.textproto:4:41: the environment variable C is not set; export C=VALUE or give --set '
               'train_dataset_options.file_pattern=VALUE'),
    ],
)  # fmt: skip
def test_a_variable_that_is_not_set_is_told_with_its_place(set_already, words, variables):
    for name in set_already:
        variables.setenv(name, 'x')
    with pytest.raises(errors.InputError) as caught:
        user_values.substitute(WANTED, TEXT, 'a.textproto')
    assert str(caught.value) == words


def test_a_placeholder_that_came_with_an_override_is_told_by_its_field():
    experiment = user_values.override(EMPTY, 'experiment_name=${A}')
    with pytest.raises(errors.InputError, match=r'^--set experiment_name: the environment variable A is not'):
        user_values.substitute(experiment, TEXT.replace('${A}', 'x'), 'a.textproto')
