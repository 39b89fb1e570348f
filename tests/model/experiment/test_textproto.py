# SPDX-License-Identifier: Apache-2.0
"""The reader and writer of text protobuf: a round trip, and where it says a mistake is."""

import dataclasses
import typing

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from panpipe.model import errors
from panpipe.model.experiment import schema, textproto

_SCALARS = {
    str: st.text(st.characters(exclude_categories=['Cs']), max_size=8),
    bool: st.booleans(),
    int: st.integers(-(2**31), 2**31 - 1),
    float: st.floats(allow_nan=False),
}


def _messages(kind):
    """Draws messages whose fields are absent, default or anything."""
    values = {}
    groups = set()
    hints = typing.get_type_hints(kind)
    for field in textproto.fields(kind):
        values_of = _messages(field.type) if field.is_message else _SCALARS[field.type]
        if field.is_repeated:
            values[field.name] = st.lists(values_of, max_size=3)
        elif typing.get_args(hints[field.name]):
            values[field.name] = st.none() | values_of
        else:
            values[field.name] = values_of
        if field.oneof:
            groups.add(field.name)
    return st.fixed_dictionaries(values).flatmap(
        lambda drawn: st.sampled_from([*groups, '']).map(
            lambda kept: kind(**{k: None if k in groups - {kept} else v for k, v in drawn.items()})
        )
    )


@settings(max_examples=60, deadline=None)
@given(_messages(schema.Experiment))
def test_reads_what_it_wrote(experiment):
    assert textproto.parse(textproto.dump(experiment), schema.Experiment, '') == experiment


def test_writes_only_what_differs():
    assert textproto.dump(schema.Experiment()) == ''
    solver = schema.SolverOptions(warmup_steps=3)
    experiment = schema.Experiment(trainer_options=schema.TrainerOptions(solver_options=solver))
    words = ' '.join(textproto.dump(experiment).split())
    assert words == 'trainer_options { solver_options { warmup_steps: 3 } }'


def test_present_but_empty_messages_stay_present():
    losses = schema.LossOptions(center_loss=schema.SingleLossOptions())
    text = textproto.dump(losses)
    assert 'center_loss' in text
    assert textproto.parse(text, schema.LossOptions, '') == losses


def test_floats_have_single_precision():
    written = schema.EvaluatorOptions(center_score_threshold=0.3)
    read = textproto.parse('center_score_threshold: 0.3', schema.EvaluatorOptions, '')
    assert written == read
    assert read.center_score_threshold == float(np.float32(0.3)) != 0.3
    assert schema.EvaluatorOptions().center_score_threshold == float(np.float32(0.1))
    assert schema.EvaluatorOptions(eval_scales=[0.1]).eval_scales == (float(np.float32(0.1)),)
    assert isinstance(schema.SingleLossOptions(weight=200).weight, float)


def test_repeated_fields_in_both_notations():
    long = textproto.parse('crop_size: 129\ncrop_size: 257', schema.DatasetOptions, '')
    assert long == textproto.parse('crop_size: [129, 257]', schema.DatasetOptions, '')
    assert long.crop_size == (129, 257)


@pytest.mark.parametrize(
    ('text', 'place', 'words'),
    [
        ('experiment_name: 3', '1:18', 'Expected string'),
        ('model_options {\n  backbone { output_stride: "16" } }', '2:29', 'integer'),
        ('model_options {\n  decoder { atrous_rates: 3000000000 } }', '2:27', 'out of range'),
        ('model_options { backbone { name: "a" name: "b" } }', '1:44', 'multiple'),
        ('model_options {', '1:15', 'Expected'),
        ('model_options {\n deeplab_v3 {}\n panoptic_deeplab {} }', '3:2', 'oneof'),
    ],
)
def test_mistakes_have_line_and_column(text, place, words):
    with pytest.raises(errors.InputError, match=words) as caught:
        textproto.parse(text, schema.Experiment, 'a.textproto')
    assert str(caught.value).startswith(f'a.textproto:{place}: ')
    assert '\n' not in str(caught.value)


def test_unknown_field_tells_message_field_and_place():
    with pytest.raises(textproto.UnknownFieldError) as caught:
        textproto.parse('trainer_options {\n  sped: 1\n}', schema.Experiment, 'a')
    error = caught.value
    assert (error.line, error.column, error.message, error.field) == (2, 3, 'TrainerOptions', 'sped')


def test_messages_are_values():
    assert schema.Experiment() == schema.Experiment()
    assert hash(schema.Experiment()) == hash(schema.Experiment())
    with pytest.raises(dataclasses.FrozenInstanceError):
        schema.Experiment().experiment_name = 'x'
