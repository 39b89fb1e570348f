# SPDX-License-Identifier: Apache-2.0
"""Each rule finds its contradiction alone, in one line that names field, value and cure."""

import functools
import math

import hypothesis
import pytest
from hypothesis import strategies as st

from panpipe.model import errors
from panpipe.model.experiment import names, schema, textproto, user_values
from panpipe.model.experiment.checks import data, network, ranges, rules, wording

FEWER = hypothesis.settings(deadline=None, max_examples=30)
_NETWORK = 'model_options.panoptic_deeplab'
_HEADS = (
    (f'{_NETWORK}.semantic_head', 19),
    (f'{_NETWORK}.instance.center_head', 1),
    (f'{_NETWORK}.instance.regression_head', 2),
)
_LOSSES = 'trainer_options.loss_options'
_SOLVER = 'trainer_options.solver_options'
# A sound network and its data, as --set would tell them.
SOUND = (
    'model_options.decoder.feature_key=res5',
    'model_options.decoder.atrous_rates=3,6,9',
    *(f'{head}.output_channels={channels}' for head, channels in _HEADS),
    *(f'{head}.head_channels=8' for head, _ in _HEADS),
    f'{_LOSSES}.semantic_loss.name=softmax_cross_entropy',
    f'{_LOSSES}.center_loss.name=mse',
    f'{_LOSSES}.regression_loss.name=l1',
    'train_dataset_options.dataset=cityscapes_panoptic',
    'train_dataset_options.file_pattern=train*',
    'train_dataset_options.crop_size=33,65',
    'eval_dataset_options.dataset=cityscapes_panoptic',
    'eval_dataset_options.file_pattern=val*',
    'eval_dataset_options.crop_size=33,65',
    'eval_dataset_options.batch_size=1',
)


def _experiment(*entries):
    return functools.reduce(user_values.override, entries, BASE)


BASE = functools.reduce(user_values.override, SOUND, schema.Experiment())


def test_a_sound_experiment_passes():
    assert list(rules.problems(_experiment())) == []
    assert rules.advice(_experiment()) == ()
    rules.check(_experiment())


def test_an_empty_experiment_passes():
    assert list(rules.problems(schema.Experiment())) == []
    assert rules.advice(schema.Experiment()) == ()


CASES = {
    # network
    'model_options.backbone.output_stride=4': 'output_stride is 4; it is one of 8, 16, 32',
    'model_options.backbone.drop_path_schedule=cosine': "is 'cosine'; it is one of constant, linear",
    'model_options.backbone.squeeze_excite_gate=relu': "is 'relu'; it is one of sigmoid, hard_sigmoid",
    'model_options.backbone.drop_path_keep_prob=0': 'drop_path_keep_prob is 0; it must be in (0, 1]',
    'model_options.decoder.decoder_conv_type=dense': 'it is one of depthwise_separable_conv, standard_conv',
    'model_options.decoder.atrous_rates=3,6': 'atrous_rates has 2 values; give exactly 3, such as 3,6,9',
    'model_options.decoder.atrous_rates=0,6,9': 'atrous_rates is 0,6,9; each rate must be at least 1',
    f'{_HEADS[0][0]}.head_channels=0': 'head_channels is 0; set it to the width of the head, such as 32',
    f'{_HEADS[1][0]}.output_channels=2': 'is 2; set it to 1, or set instance.enable to false',
    f'{_HEADS[2][0]}.output_channels=1': 'is 1; set it to 2, or set instance.enable to false',
    f'{_HEADS[1][0]}.head_conv_type=dense': 'head_conv_type is ',
    # data
    'train_dataset_options.dataset=unheard_of': 'train_dataset_options.dataset: ',
    'train_dataset_options.crop_size=33': 'crop_size has 1 values; give height and width',
    'train_dataset_options.crop_size=33,64': 'the nearest such values are 33 x 33 or 65',
    'train_dataset_options.min_resize_value=1,2,3': 'min_resize_value has 3 values; give none, one, or',
    'train_dataset_options.max_resize_value=66': 'is 66x66, larger than crop_size 33x65; set it to 33,65, or',
    'train_dataset_options.augmentations.min_scale_factor=-1': 'min_scale_factor is -1; it must not be neg',
    'train_dataset_options.augmentations.min_scale_factor=2': 'is 2, above max_scale_factor 1; exchange them',
    'train_dataset_options.augmentations.scale_factor_step_size=-1': 'scale_factor_step_size is -1; it must',
    'train_dataset_options.augmentations.autoaugment_policy_name=x': "autoaugment_policy_name is 'x'; it is",
    'train_dataset_options.batch_size=0': 'train_dataset_options.batch_size is 0; it must be at least 1',
    'train_dataset_options.sigma=0': 'train_dataset_options.sigma is 0; it must be positive',
    'eval_dataset_options.crop_size=': 'crop_size is empty; give height and width that hold the largest imag',
    'eval_dataset_options.batch_size=2': 'one at a time, at their own size: set it to 1',
    # training
    f'{_LOSSES}.semantic_loss.name=mse': "name is 'mse'; it is one of softmax_cross_entropy",
    f'{_LOSSES}.center_loss.name=huber': "name is 'huber'; it is one of mse, l1",
    f'{_SOLVER}.optimizer=lion': "optimizer is 'lion'; it is one of adam, sgd, adamw",
    f'{_SOLVER}.learning_policy=step': "learning_policy is 'step'; it is one of poly, cosine",
    f'{_SOLVER}.training_number_of_steps=0': 'training_number_of_steps is 0; it must be at least 1',
    f'{_SOLVER}.ema_momentum=1': 'ema_momentum is 1; it is a fraction in [0, 1), such as 0.999, or 0',
    'trainer_options.save_summaries_steps=0': 'save_summaries_steps is 0; it must be at least 1',
    'trainer_options.save_checkpoints_steps=-1': 'save_checkpoints_steps is -1; it must be at least 1',
    'trainer_options.steps_per_loop=300': 'is 1000, not a multiple of steps_per_loop 300; set it to 300',
    'trainer_options.gradient_accumulation_steps=0': 'gradient_accumulation_steps is 0; it must be at least',
    'trainer_options.gradient_accumulation_steps=5': 'batch_size is 32, which gradient_accumulation_steps 5',
    'trainer_options.mixed_precision=float16': "mixed_precision is 'float16'; it is one of bfloat16",
    'evaluator_options.raw_panoptic_format=png': "raw_panoptic_format is 'png'; it is one of two_channel_png",
    'evaluator_options.nms_kernel=0': 'nms_kernel is 0; it must be at least 1',
    'evaluator_options.eval_scales=1,0': 'eval_scales has a value <= 0: (1.0, 0.0); give positive factors',
    # ranges
    'evaluator_options.eval_interval=0': 'eval_interval is 0; it must be at least 1',
    'trainer_options.num_checkpoints_to_keep=0': 'num_checkpoints_to_keep is 0; it must be at least 1',
    'model_options.backbone.stem_width_multiplier=0': 'stem_width_multiplier is 0; it must be positive',
    'trainer_options.seed=-1': 'seed is -1; it must be at least 0',
    f'{_LOSSES}.center_loss.weight=-2': 'weight is -2; it must be at least 0',
    f'{_LOSSES}.semantic_loss.top_k_percent=20': 'is 20; it must be in (0, 1], such as 0.2 for the hardest',
    f'{_SOLVER}.batchnorm_momentum=1.5': 'batchnorm_momentum is 1.5; it must be in [0, 1]',
}


@pytest.mark.parametrize('entry', CASES)
def test_a_contradiction_is_found_alone(entry):
    (problem,) = rules.problems(_experiment(entry))
    assert CASES[entry] in problem
    assert entry.partition('=')[0].split('.')[-1] in problem
    assert '\n' not in problem
    with pytest.raises(errors.InputError) as caught:
        rules.check(_experiment(entry))
    assert str(caught.value) == problem


def test_problems_are_found_together_and_the_first_is_raised():
    experiment = _experiment('trainer_options.seed=-1', 'evaluator_options.nms_kernel=0')
    first, second = rules.problems(experiment)
    assert 'seed' in first
    assert 'nms_kernel' in second
    with pytest.raises(errors.InputError, match='seed'):
        rules.check(experiment)


PAIRS = [
    ((f'{_HEADS[0][0]}.output_channels=20',), 'is 20; cityscapes_panoptic has 19 classes: set it to 19'),
    (
        ('model_options.deeplab_v3.num_classes=19',),
        'model_options sets deeplab_v3 and panoptic_deeplab; keep one of them',
    ),
    (
        (f'{_SOLVER}.use_gradient_clipping=true', f'{_SOLVER}.clip_gradient_norm=0'),
        'clip_gradient_norm is 0; it must be positive, or set use_gradient_clipping to false',
    ),
    ((f'{_NETWORK}.instance.enable=false', f'{_LOSSES}.center_loss='), 'regression_loss is set, but the'),
    (
        tuple(f'{_LOSSES}.{name}=' for name in ('semantic_loss', 'center_loss', 'regression_loss')),
        'holds no loss to train with; set at least',
    ),
]


@pytest.mark.parametrize(('entries', 'words'), PAIRS)
def test_values_that_do_not_go_together_are_found(entries, words):
    assert any(words in problem for problem in rules.problems(_experiment(*entries)))


def test_clipping_that_is_off_has_any_limit():
    rules.check(_experiment(f'{_SOLVER}.clip_gradient_norm=0'))


def test_low_levels_need_a_feature_and_a_width():
    low = schema.LowLevelOptions(), schema.LowLevelOptions('res2', 8)
    model = schema.ModelOptions(panoptic_deeplab=schema.PanopticDeeplabOptions(low_level=low))
    told = [line for line in rules.problems(schema.Experiment(model_options=model)) if 'low_level' in line]
    assert told == [
        f'{_NETWORK}.low_level.feature_key is empty; name an encoder feature, such as "res2"',
        f'{_NETWORK}.low_level.channels_project is 0; set it to a width of at least 1',
    ]


@pytest.mark.parametrize('value', [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize(
    'path', [f'{_SOLVER}.weight_decay', 'evaluator_options.eval_scales', f'{_LOSSES}.center_loss.weight']
)
def test_numbers_are_finite(path, value):
    problems = list(rules.problems(_experiment(f'{path}={value}')))
    assert problems[0] == f'{path} is {value}; give a finite number'


ADVICE = {
    'model_options.decoder.atrous_rates=6,12,18': 'is 6,12,18; 3,6,9 is usual with output_stride 32',
    f'{_SOLVER}.warmup_steps=60000': 'warmup_steps is 60000, but training ends after 60000 steps; lower it',
    f'{_SOLVER}.training_number_of_steps=500': 'the averages do not settle within 500 steps; lower it',
    f'{_LOSSES}.center_loss=': 'center_loss is absent: its head stays untrained; add it',
}


@pytest.mark.parametrize('entry', ADVICE)
def test_what_is_probably_not_meant_is_told(entry):
    (line,) = rules.advice(_experiment(entry))
    assert ADVICE[entry] in line
    rules.check(_experiment(entry))


SIDES = st.integers(-3, 300)


@FEWER
@hypothesis.given(st.tuples(SIDES, SIDES), st.sampled_from(network.STRIDES))
def test_the_nearest_crops_are_right_and_near(crop, stride):
    options = f'{",".join(map(str, crop))}'
    entries = (f'model_options.backbone.output_stride={stride}', f'train_dataset_options.crop_size={options}')
    problems = list(rules.problems(_experiment(*entries)))
    if all(side >= 1 and side % stride == 1 for side in crop):
        assert problems == []
        return
    (problem,) = problems
    sides = problem.rpartition('values are ')[2].split(' x ')
    for side, proposed in zip(crop, sides, strict=True):
        values = [int(value) for value in proposed.split(' or ')]
        assert all(value % stride == 1 and value > stride for value in values)
        assert side < stride + 1 or min(abs(value - side) for value in values) <= stride // 2


@FEWER
@hypothesis.given(st.integers(1, 400), st.integers(1, 400))
def test_the_crop_that_is_proposed_for_evaluation_holds_the_image(height, width):
    experiment = _experiment()
    try:
        data.check_eval_crop(experiment, height, width)
        assert height <= 33
        assert width <= 65
    except errors.InputError as error:
        told = str(error).partition('set crop_size=')[2].partition(', or ')[0]
        data.check_eval_crop(_experiment(f'eval_dataset_options.crop_size={told}'), height, width)
        rules.check(_experiment(f'eval_dataset_options.crop_size={told}'))


@pytest.mark.parametrize('entry', ['max_resize_value=20', 'min_resize_value=20,30', 'crop_size='])
def test_images_that_are_resized_fit_any_crop(entry):
    data.check_eval_crop(_experiment(f'eval_dataset_options.{entry}'), 1000, 2000)


def test_every_range_is_of_a_field_that_exists():
    for _, _, paths in ranges._RANGES:
        for path in paths:
            kind = schema.Experiment
            for name in path.split('.'):
                kind = {field.name: field.type for field in textproto.fields(kind)}[name]
            assert kind in (int, float)


def test_words():
    assert wording.size((1025, 2049)) == '1025x2049'
    assert wording.listed([3, 6, 9]) == '3,6,9'
    assert list(wording.choice('a.b', 'x', ('', 'y', 'z'))) == ["a.b is 'x'; it is one of y, z"]
    assert list(wording.choice('a.b', '', ('', 'y'))) == []


@pytest.mark.parametrize('table', [names.SEMANTIC_LOSSES, names.CENTER_LOSSES, names.OPTIMIZERS])
def test_names_that_are_in_no_table_are_told(table):
    with pytest.raises(errors.InputError, match=rf"^a\.b is 'x'; it is one of {', '.join(table)}$"):
        names.find('a.b', 'x', table)
