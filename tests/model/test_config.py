# SPDX-License-Identifier: Apache-2.0
"""Configurations: shipped files, DeepLab2's files, overrides, environment, checks and their cures."""

import doctest
import pathlib
import subprocess
import sys

import pytest

from panpipe.model import config, datasets, errors
from panpipe.model.experiment import deeplab2, textproto

ROOT = pathlib.Path(config.__file__).parent / 'configs'
FILES = sorted(str(path.relative_to(ROOT)) for path in ROOT.rglob('*.textproto'))
CITYSCAPES = ROOT / 'cityscapes/panoptic_deeplab/mobilenet_v3_large_os16.textproto'
VARIABLES = {'EXPERIMENT_NAME': 'e', 'INIT_CHECKPOINT': '', 'TRAIN_SET': 'train*', 'VAL_SET': 'val*'}

# The bare minimum that DeepLab2 accepts as an example: a network, and the crop that ASPP needs.
EXAMPLE = """
# ${NOT_A_VARIABLE} in a comment is nothing
model_options {
  decoder { feature_key: "res5" atrous_rates: 6 atrous_rates: 12 atrous_rates: 18 }
  backbone { name: "resnet50" }
  panoptic_deeplab {
    low_level { feature_key: "res3" channels_project: 64 }
    low_level { feature_key: "res2" channels_project: 32 }
    semantic_head { output_channels: 19 head_channels: 256 }
    instance {
      center_head { output_channels: 1 head_channels: 32 }
      regression_head { output_channels: 2 head_channels: 32 }
    }
  }
}
train_dataset_options { crop_size: 1025 crop_size: 2049 }
"""


@pytest.fixture
def variables(monkeypatch):
    for name, value in VARIABLES.items():
        monkeypatch.setenv(name, value)


def _refusal(text, *overrides):
    with pytest.raises(errors.InputError) as caught:
        config.check(config.loads(text, 'a.textproto', overrides))
    assert '\n' not in str(caught.value)
    return str(caught.value)


def test_docstring_examples():
    assert doctest.testmod(config).failed == 0


def test_import_needs_no_tensorflow():
    program = 'import sys, panpipe.model.config; sys.exit("tensorflow" in sys.modules)'
    assert subprocess.run([sys.executable, '-c', program], check=False).returncode == 0


# Files


def test_every_folder_of_configurations_is_there():
    folders = {str(pathlib.Path(name).parent) for name in FILES}
    assert {'cityscapes/panoptic_deeplab', 'cityscapes/axial_deeplab', 'coco/panoptic_deeplab'} <= folders
    assert len(FILES) >= 29


@pytest.mark.usefixtures('variables')
@pytest.mark.parametrize('name', FILES)
def test_shipped_file(name):
    experiment = config.load(ROOT / name)
    assert config.loads(config.dumps(experiment)) == experiment
    if not name.startswith('example'):
        assert config.advice(experiment) == ()
        assert experiment.eval_dataset_options.batch_size == 1


@pytest.mark.usefixtures('variables')
def test_values_of_a_shipped_file():
    experiment = config.load(CITYSCAPES)
    assert experiment.experiment_name == 'e'
    assert experiment.model_options.initial_checkpoint == ''
    assert experiment.train_dataset_options.file_pattern == ('train*',)
    assert experiment.train_dataset_options.crop_size == (1025, 2049)
    assert experiment.model_options.backbone.output_stride == 16
    assert experiment.model_options.panoptic_deeplab.low_level[1] == config.LowLevelOptions('res2', 32)
    decoder = experiment.model_options.panoptic_deeplab.instance.instance_decoder_override
    assert decoder == config.DecoderOptions('res5', decoder_channels=128, atrous_rates=(6, 12, 18))
    assert experiment.trainer_options.loss_options.center_loss == config.SingleLossOptions('mse', 200)
    assert experiment.trainer_options.solver_options == config.SolverOptions(
        batchnorm_epsilon=1e-5, warmup_steps=500, base_learning_rate=1e-3
    )
    assert not experiment.evaluator_options.merge_semantic_and_instance_with_tf_op


def test_minimal_example_passes_and_is_advised():
    experiment = config.loads(EXAMPLE)
    config.check(experiment)
    assert experiment.model_options.deeplab_v3 is None
    assert config.advice(experiment) == (
        'model_options.decoder.atrous_rates is 6,12,18; 3,6,9 is usual with output_stride 32',
    )


def test_empty_file_is_the_defaults():
    assert config.loads('') == config.Experiment()
    config.check(config.Experiment())


def test_missing_file(tmp_path):
    with pytest.raises(errors.InputError, match=r'no\.textproto: No such file or directory; give'):
        config.load(tmp_path / 'no.textproto')
    with pytest.raises(errors.InputError, match='Is a directory'):
        config.load(tmp_path)


def test_binary_file(tmp_path):
    (tmp_path / 'x.textproto').write_bytes(b'ab\xff')
    with pytest.raises(errors.InputError, match='byte 2 is not UTF-8'):
        config.load(tmp_path / 'x.textproto')


def test_load_names_the_file_whose_values_contradict(tmp_path):
    (tmp_path / 'x.textproto').write_text('train_dataset_options { crop_size: 3 }')
    with pytest.raises(
        errors.InputError, match=r'x\.textproto: train_dataset_options\.crop_size has 1 values'
    ):
        config.load(tmp_path / 'x.textproto')


# Other spellings and other tasks


def test_alias():
    name = 'merge_semantic_instance_with_tf_op'
    experiment = config.loads(f'evaluator_options {{ {name}: false }}')
    assert experiment == config.loads('', overrides=[f'evaluator_options.{name}=false'])
    assert not experiment.evaluator_options.merge_semantic_and_instance_with_tf_op


def test_out_of_scope_field():
    message = _refusal('model_options {\n  motion_deeplab { low_level {} }\n}')
    assert message == (
        "a.textproto:2:3: field 'motion_deeplab' is out of panpipe's scope (video panoptic segmentation); "
        'remove it, or train that model with DeepLab2'
    )
    assert 'scope (depth estimation)' in _refusal('', 'model_options.panoptic_deeplab.depth_head.x=1')


def test_out_of_scope_field_with_its_default_changes_nothing():
    text = """
    train_dataset_options { use_two_frames: false batch_size: 4 }
    model_options { panoptic_deeplab { semantic_head {
      min_value_after_activation: 0.00 head_channels: 7 } } }
    """
    assert config.loads(text) == config.loads(
        '',
        overrides=[
            'train_dataset_options.batch_size=4',
            'model_options.panoptic_deeplab.semantic_head.head_channels=7',
        ],
    )
    assert _refusal(text.replace('0.00', '0.01')).startswith('a.textproto:4:7: ')


@pytest.mark.parametrize(
    'text',
    [
        'use_two_frames: 0',
        'use_two_frames: f',
        'use_two_frames: False',
        'cameras_to_use: []',
        'use_next_frame: false,',
        'use_next_frame:\nfalse ;',
    ],
)
def test_defaults_out_of_scope_may_be_spelt_in_any_way(text):
    options = config.loads(f'train_dataset_options {{ {text} batch_size: 4 }}').train_dataset_options
    assert options.batch_size == 4
    wrong = f'train_dataset_options {{ {text}\n colour: 1 }}'
    assert _refusal(wrong).startswith(f'a.textproto:{wrong.count(chr(10)) + 1}:2: ')


def test_files_may_begin_with_a_byte_order_mark(tmp_path):
    path = tmp_path / 'a.textproto'
    path.write_text('experiment_name: "a"', encoding='utf-8-sig')
    assert config.load(path).experiment_name == 'a'


def test_an_override_takes_a_number_away():
    text = 'trainer_options { solver_options { backbone_learning_rate_multiplier: 0.5 } }'
    name = 'trainer_options.solver_options.backbone_learning_rate_multiplier'
    solver = config.loads(text, overrides=[f'{name}=']).trainer_options.solver_options
    assert solver.backbone_learning_rate_multiplier is None


def test_out_of_scope_table_has_no_field_of_the_schema():
    known = {
        field.name
        for name in dir(config)
        if isinstance(kind := getattr(config, name), type) and issubclass(kind, textproto.Message)
        for field in textproto.fields(kind)
    }
    assert not known & (set(deeplab2.OUT_OF_SCOPE) | set(deeplab2.RENAMED))
    assert set(deeplab2.RENAMED.values()) <= known


def test_unknown_field_suggests_a_close_one():
    message = _refusal('trainer_options {\n  step_per_loop: 3\n}')
    assert message.startswith("a.textproto:2:3: TrainerOptions has no field 'step_per_loop'; did you mean")
    assert "'steps_per_loop'" in message
    assert 'its fields are num_classes' in _refusal('model_options { deeplab_v3 { zzz: 1 } }')


# Overrides


@pytest.mark.parametrize(
    ('entry', 'read', 'value'),
    [
        ('experiment_name=a=b', lambda e: e.experiment_name, 'a=b'),
        ('train_dataset_options.crop_size=129, 257', lambda e: e.train_dataset_options.crop_size, (129, 257)),
        ('train_dataset_options.min_resize_value=', lambda e: e.train_dataset_options.min_resize_value, ()),
        (
            'train_dataset_options.file_pattern=a*,b*',
            lambda e: e.train_dataset_options.file_pattern,
            ('a*', 'b*'),
        ),
        ('evaluator_options.add_flipped_images=True', lambda e: e.evaluator_options.add_flipped_images, True),
        ('trainer_options.seed=-7', lambda e: e.trainer_options.seed, -7),
        (
            'evaluator_options.center_score_threshold=5e-1',
            lambda e: e.evaluator_options.center_score_threshold,
            0.5,
        ),
        ('evaluator_options.override_save_dir=x', lambda e: e.evaluator_options.override_save_dir, 'x'),
        (
            'trainer_options.loss_options.center_loss.name=mse',
            lambda e: e.trainer_options.loss_options.center_loss,
            config.SingleLossOptions('mse'),
        ),
        ('model_options.panoptic_deeplab=', lambda e: e.model_options.panoptic_deeplab, None),
    ],
)
def test_override(entry, read, value):
    assert read(config.loads(EXAMPLE, overrides=[entry])) == value


def test_later_overrides_win():
    assert config.loads('', overrides=['experiment_name=a', 'experiment_name=b']).experiment_name == 'b'


@pytest.mark.parametrize(
    ('entry', 'words'),
    [
        ('trainer_options.sed=1', "TrainerOptions has no field 'sed'; did you mean 'seed'?"),
        ('zzz=1', "Experiment has no field 'zzz'; its fields are experiment_name, model_options"),
        ('seed', 'there is no "=" in it'),
        ('trainer_options.seed=x', "'x' is not an integer"),
        ('trainer_options.seed=3000000000', 'not an integer of 32 bits'),
        ('trainer_options.seed.x=1', 'seed holds a value'),
        ('evaluator_options.add_flipped_images=yes', "'yes' is not true or false"),
        ('train_dataset_options.sigma=big', "'big' is not a number"),
        ('model_options.backbone=x', 'backbone has fields; set one of name, output_stride'),
        ('model_options.backbone=', 'backbone has fields; set one of name, output_stride'),
        ('model_options.panoptic_deeplab=x', 'panoptic_deeplab has fields'),
        ('model_options.panoptic_deeplab.low_level.feature_key=a', 'is a list of messages'),
        ('model_options.deeplab_v3.num_classes=19', 'sets deeplab_v3 and panoptic_deeplab; keep one'),
        ('train_dataset_options.crop_size=129,a', "'a' is not an integer"),
    ],
)
def test_wrong_override(entry, words):
    assert words in _refusal(EXAMPLE, entry)


# Environment


def test_environment_is_read_after_overrides(monkeypatch):
    monkeypatch.setenv('DATA', '/data')
    monkeypatch.delenv('UNSET', raising=False)
    text = (
        'experiment_name: "${UNSET}" train_dataset_options { file_pattern: "${DATA}/a*" file_pattern: "b" }'
    )
    experiment = config.loads(text, overrides=['experiment_name=x-${DATA}'])
    assert experiment.experiment_name == 'x-/data'
    assert experiment.train_dataset_options.file_pattern == ('/data/a*', 'b')


def test_unset_variable(monkeypatch):
    for name in ('ONE', 'TWO'):
        monkeypatch.delenv(name, raising=False)
    text = '# "${ONE}" "\nmodel_options {\n  initial_checkpoint: "x#${ONE}" }\nexperiment_name: "${TWO}"'
    message = _refusal(text, 'experiment_name=${TWO}/a')
    assert message == (
        'a.textproto:4:19: the environment variable TWO is not set; '
        'export TWO=VALUE or give --set experiment_name=VALUE; also unset: ONE'
    )
    assert _refusal(text, 'experiment_name=a').startswith('a.textproto:3:26: the environment variable ONE')
    assert _refusal('', 'experiment_name=${ONE}').startswith('--set experiment_name: the environment')


# Checks: each names the field, the value and the cure

SECTIONS = {
    'model': 'model_options',
    'panoptic': 'model_options.panoptic_deeplab',
    'trainer': 'trainer_options',
    'solver': 'trainer_options.solver_options',
    'loss': 'trainer_options.loss_options',
    'train': 'train_dataset_options',
    'eval': 'eval_dataset_options',
    'evaluator': 'evaluator_options',
}


@pytest.mark.usefixtures('variables')
@pytest.mark.parametrize(
    ('entry', 'words'),
    [
        ('train.crop_size=1024,2049', 'nearest such values are 1009 or 1025 x 2049'),
        ('eval.crop_size=2,2049', 'eval_dataset_options.crop_size is 2x2049'),
        ('train.crop_size=1025', 'crop_size has 1 values; give height and width'),
        ('eval.max_resize_value=1100', 'is 1100x1100, larger than crop_size 1025x2049; set it to 1025,1100'),
        ('eval.crop_size=', 'eval_dataset_options.crop_size is empty; give height and width'),
        ('train.max_resize_value=1,2,3', 'has 3 values; give none, one, or height and width'),
        ('train.batch_size=0', 'train_dataset_options.batch_size is 0'),
        ('train.sigma=0', 'sigma is 0; it must be positive'),
        ('eval.batch_size=2', 'eval_dataset_options.batch_size is 2; images are evaluated one'),
        ('train.augmentations.min_scale_factor=3', 'is 3, above max_scale_factor 2; exchange'),
        ('train.augmentations.min_scale_factor=-1', 'is -1; it must not be negative'),
        ('train.augmentations.scale_factor_step_size=-1', 'step_size is -1'),
        ('train.augmentations.autoaugment_policy_name=x', "is 'x'; it is one of simple_class"),
        ('train.dataset=kitti', "train_dataset_options.dataset: unknown data set 'kitti'; it is one"),
        ('eval.dataset=coco_panoptic', 'is 19; coco_panoptic has 134 classes: set it to 134'),
        ('model.backbone.output_stride=12', 'output_stride is 12; it is one of 8, 16, 32'),
        ('model.backbone.drop_path_schedule=x', "is 'x'; it is one of constant, linear"),
        ('model.backbone.drop_path_keep_prob=0', 'is 0; it must be in (0, 1]'),
        ('model.decoder.atrous_rates=6', 'atrous_rates has 1 values; give exactly 3, such as 6,12,18'),
        ('model.decoder.atrous_rates=6,0,18', 'atrous_rates is 6,0,18; each rate must be at least 1'),
        ('model.decoder.decoder_conv_type=x', "decoder_conv_type is 'x'; it is one of depthwise"),
        ('panoptic.semantic_head.output_channels=0', 'is 0; set it to the number of classes'),
        ('panoptic.semantic_head.head_channels=0', 'semantic_head.head_channels is 0'),
        ('panoptic.instance.center_head.output_channels=0', 'is 0; set it to 1, or set inst'),
        ('panoptic.instance.regression_head.output_channels=1', 'is 1; set it to 2'),
        ('panoptic.instance.center_head.head_conv_type=x', 'head_conv_type'),
        ('trainer.save_summaries_steps=150', 'is 150, not a multiple of steps_per_loop 100; set it'),
        ('trainer.steps_per_loop=0', 'steps_per_loop is 0'),
        ('trainer.gradient_accumulation_steps=0', 'gradient_accumulation_steps is 0; it must be at least 1'),
        ('trainer.gradient_accumulation_steps=5', 'gradient_accumulation_steps 5 does not divide'),
        ('trainer.mixed_precision=float8', "mixed_precision is 'float8'"),
        ('trainer.solver_options.ema_momentum=1', 'ema_momentum is 1; it is a fraction in [0, 1)'),
        ('solver.optimizer=lion', "is 'lion'; it is one of adam, sgd, adamw"),
        ('solver.learning_policy=step', "is 'step'; it is one of poly, cosine"),
        ('solver.base_learning_rate=nan', 'base_learning_rate is nan; give a finite'),
        ('loss.semantic_loss.top_k_percent=20', 'is 20; it must be in (0, 1], such as 0.2'),
        ('loss.semantic_loss.name=mse', "is 'mse'; it is one of softmax_cross_entropy"),
        ('loss.center_loss.name=l2', "is 'l2'; it is one of mse, l1"),
        ('evaluator.raw_panoptic_format=png', "is 'png'; it is one of two_channel_png"),
        ('evaluator.nms_kernel=0', 'nms_kernel is 0'),
        ('evaluator.eval_scales=1,0', 'eval_scales has a value <= 0'),
    ],
)
def test_check(entry, words):
    section, _, rest = entry.partition('.')
    message = _refusal(CITYSCAPES.read_text(), f'{SECTIONS[section]}.{rest}')
    assert words in message
    assert rest.split('=')[0].split('.')[-1] in message or 'classes' in message


@pytest.mark.usefixtures('variables')
@pytest.mark.parametrize(
    ('entry', 'words'),
    [
        ('model.backbone.stem_width_multiplier=0', 'positive'),
        ('model.backbone.backbone_width_multiplier=-1', 'positive'),
        ('model.backbone.backbone_layer_multiplier=0', 'positive'),
        ('model.decoder.aspp_channels=0', 'at least 1'),
        ('model.decoder.decoder_channels=0', 'at least 1'),
        ('panoptic.instance.instance_decoder_override.aspp_channels=0', 'at least 1'),
        ('trainer.num_checkpoints_to_keep=0', 'at least 1'),
        ('trainer.seed=-1', 'at least 0'),
        ('loss.semantic_loss.weight=-1', 'at least 0'),
        ('loss.center_loss.weight=-0.5', 'at least 0'),
        ('loss.semantic_loss.top_k_percent=0', 'in (0, 1], such as 0.2'),
        ('loss.regression_loss.top_k_percent=1.5', 'in (0, 1], such as 0.2'),
        ('solver.base_learning_rate=-0.001', 'at least 0'),
        ('solver.poly_end_learning_rate=-1', 'at least 0'),
        ('solver.backbone_learning_rate_multiplier=-1', 'at least 0'),
        ('solver.weight_decay=-1', 'at least 0'),
        ('solver.adamw_weight_decay=-1', 'at least 0'),
        ('solver.batchnorm_momentum=1.5', 'in [0, 1]'),
        ('solver.batchnorm_momentum=-0.1', 'in [0, 1]'),
        ('solver.batchnorm_epsilon=-1', 'at least 0'),
        ('solver.training_number_of_steps=0', 'at least 1'),
        ('evaluator.eval_interval=0', 'at least 1'),
        ('evaluator.eval_interval=-5', 'at least 1'),
        ('evaluator.stuff_area_limit=-1', 'at least 0'),
    ],
)
def test_range(entry, words):
    section, _, rest = entry.partition('.')
    field, _, value = f'{SECTIONS[section]}.{rest}'.partition('=')
    assert _refusal(CITYSCAPES.read_text(), f'{field}={value}').startswith(
        f'{field} is {value}; it must be {words}'
    )


@pytest.mark.usefixtures('variables')
def test_a_norm_to_clip_to_is_positive():
    entries = [
        f'trainer_options.solver_options.{name}'
        for name in ('clip_gradient_norm=0', 'use_gradient_clipping=true')
    ]
    config.check(config.load(CITYSCAPES, entries[:1]))
    assert 'clip_gradient_norm is 0; it must be positive, or' in _refusal(CITYSCAPES.read_text(), *entries)


@pytest.mark.usefixtures('variables')
def test_without_records_to_train_with_no_steps_are_needed():
    entries = (
        'trainer_options.solver_options.training_number_of_steps=0',
        'train_dataset_options.file_pattern=',
    )
    config.check(config.load(CITYSCAPES, entries))


def test_low_level_is_checked():
    text = EXAMPLE.replace('channels_project: 64', '')
    assert 'low_level.channels_project is 0; set it to' in _refusal(text)
    assert 'low_level.feature_key is empty' in _refusal(EXAMPLE.replace('feature_key: "res3"', ''))


def test_projection_only_needs_no_rates():
    for rates in ('', '0,0,0'):
        entries = (
            'model_options.decoder.aspp_use_only_1x1_proj_conv=true',
            f'model_options.decoder.atrous_rates={rates}',
        )
        config.check(config.loads(EXAMPLE, overrides=entries))


def test_disabled_instance_branch_needs_no_heads():
    text = EXAMPLE.replace('center_head', 'enable: false center_head').replace('output_channels: 1 ', '')
    config.check(config.loads(text))


_WITHOUT_INSTANCES = (
    ('model_options.panoptic_deeplab.instance.enable=false',),
    ('model_options.panoptic_deeplab=', 'model_options.deeplab_v3.num_classes=19'),
)


@pytest.mark.usefixtures('variables')
@pytest.mark.parametrize('entries', _WITHOUT_INSTANCES)
def test_without_an_instance_branch_there_are_no_losses_of_instances(entries):
    text = CITYSCAPES.read_text()
    assert 'center_loss is set, but the network has no instance branch' in _refusal(text, *entries)
    losses = [f'trainer_options.loss_options.{name}=' for name in ('center_loss', 'regression_loss')]
    assert 'regression_loss is set, but' in _refusal(text, *entries, losses[0])
    config.check(config.loads(text, overrides=[*entries, *losses]))


@pytest.mark.usefixtures('variables')
def test_records_to_train_with_need_a_loss():
    losses = [f'trainer_options.loss_options.{name}_loss=' for name in ('semantic', 'center', 'regression')]
    message = _refusal(CITYSCAPES.read_text(), *losses)
    assert message.startswith('trainer_options.loss_options holds no loss to train with; set at least')


@pytest.mark.parametrize(
    ('name', 'more'),
    [('deeplab_v3', ''), ('deeplab_v3_plus', 'low_level { feature_key: "res2" channels_project: 48 }')],
)
def test_number_of_classes_of_the_other_architectures(name, more):
    model = f'model_options {{ {name} {{ num_classes: 19 {more} }} }}'
    message = _refusal(f'{model} train_dataset_options {{ dataset: "ade20k_panoptic" }}')
    assert f'model_options.{name}.num_classes is 19; ade20k_panoptic has 151 classes' in message


def test_eval_crop():
    text = 'eval_dataset_options { crop_size: 513 crop_size: 1025 }'
    config.check_eval_crop(config.loads(text), 513, 1025)
    with pytest.raises(
        errors.InputError, match='513x1025, smaller than an image of 514x100; set crop_size=545,129'
    ):
        config.check_eval_crop(config.loads(text), 514, 100)
    entries = ['eval_dataset_options.max_resize_value=513,1025']
    config.check_eval_crop(config.loads(text, overrides=entries), 1024, 2048)


@pytest.mark.usefixtures('variables')
@pytest.mark.parametrize(
    ('entry', 'words'),
    [
        ('model_options.decoder.atrous_rates=3,6,9', 'is 3,6,9; 6,12,18 is usual with output_stride 16'),
        ('trainer_options.solver_options.warmup_steps=60000', 'training ends after 60000 steps'),
        ('trainer_options.solver_options.training_number_of_steps=600', 'averages do not settle within 600'),
    ],
)
def test_advice(entry, words):
    (line,) = config.advice(config.load(CITYSCAPES, [entry]))
    assert words in line


@pytest.mark.usefixtures('variables')
def test_advice_about_an_untrained_head(tmp_path):
    text = CITYSCAPES.read_text().replace('center_loss { name: "mse" weight: 200.0 }', '')
    (line,) = config.advice(config.loads(text))
    assert 'center_loss is absent: its head stays untrained' in line


def test_data_set_names_are_those_of_the_registry():
    for name, spec in datasets.SPECS.items():
        text = (
            f'model_options {{ deeplab_v3 {{ num_classes: {spec.labels.num_classes} }} }}'
            f'train_dataset_options {{ dataset: "{name}" }}'
        )
        config.check(config.loads(text))


def test_documentation_lists_every_field_out_of_scope():
    page = (ROOT.parents[1] / 'docs/configuration.md').read_text()
    assert [name for name in (*deeplab2.OUT_OF_SCOPE, *deeplab2.RENAMED) if f'`{name}`' not in page] == []
