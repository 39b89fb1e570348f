# SPDX-License-Identifier: Apache-2.0
"""Contradictions in configurations of mask transformers are told in one line with a cure."""

import pathlib
import re

import pytest

from panpipe.model import config, errors
from panpipe.model.experiment import mask_numbers

_CONFIGS = pathlib.Path(__file__).parents[4] / 'model/configs'
_COCO = _CONFIGS / 'coco/kmax_deeplab/kmax_meta_r50_os32.textproto'
_CITYSCAPES = _CONFIGS / 'cityscapes/kmax_deeplab/kmax_meta_r50_os32.textproto'
_MAX = 'model_options.max_deeplab'
_PASTE = 'augmentations.panoptic_copy_paste'


@pytest.fixture(autouse=True)
def variables(monkeypatch):
    """Gives the files' placeholders values."""
    for name in ('EXPERIMENT_NAME', 'INIT_CHECKPOINT', 'TRAIN_SET', 'VAL_SET'):
        monkeypatch.setenv(name, 'x')


@pytest.mark.parametrize(
    ('entry', 'words'),
    [
        ('model_options.backbone.name=max_deeplab_s', 'builds kMaX-DeepLab alone; name a kmax_ backbone'),
        (f'{_MAX}.pixel_space_head.output_channels=0', 'set it to the width of masks'),
        (
            f'{_MAX}.auxiliary_semantic_head.output_channels=19',
            'has 134 classes: set it to 134',
        ),
        (f'{_MAX}.pixel_space_head.head_conv_type=dense', 'it is one of depthwise_separable_conv'),
        (f'{_MAX}.num_mask_slots=0', 'num_mask_slots is 0; it must be at least 1, such as 128'),
        (f'{_MAX}.pixel_decoder_levels=3', 'pixel_decoder_levels is 3; it is 4 or 5'),
        (f'{_MAX}.transformer_decoder_drop_path_keep_prob=0', 'it must be in (0, 1]'),
        (f'{_MAX}.instance_discrimination_sample_k=-1', 'must not be negative, and 0 compares all pixels'),
        (f'{_MAX}.instance_discrimination_sample_k=103042', 'masks of a training crop have 103041 pixels'),
        (f'{_MAX}.transformer_layers_per_level=0', 'it must be at least 1, such as 2'),
        (f'{_MAX}.width_multiplier=0', 'it must be positive, such as 1.0'),
        ('trainer_options.loss_options.center_loss.name=mse', 'a mask transformer has no such head'),
        ('train_dataset_options.thing_id_mask_annotations=false', 'need the masks of things; set it to true'),
        ('eval_dataset_options.max_thing_id=0', 'must be at least 1, such as 128'),
        (f'eval_dataset_options.{_PASTE}.panoptic_copy_paste_scale=1', 'evaluation sees images as they are'),
        (f'train_dataset_options.{_PASTE}.panoptic_copy_paste_stuff_option=some', 'one of random, none, all'),
        (f'train_dataset_options.{_PASTE}.panoptic_copy_paste_scale=-1', 'it must not be negative'),
        ('evaluator_options.transformer_post_processing=slotwise', 'it is one of pixelwise, maskwise'),
        ('evaluator_options.maskwise_postprocessing=', 'maskwise_postprocessing is absent; add it'),
        ('train_dataset_options.crop_size=1025,1040', 'a multiple of output_stride 32 plus 1'),
    ],
)
def test_contradictions(entry, words):
    with pytest.raises(errors.InputError, match=re.escape(words)) as caught:
        config.load(_COCO, [entry])
    assert '\n' not in str(caught.value)


def test_pixel_heads_do_not_go_with_what_belongs_to_masks():
    path = _CONFIGS / 'coco/panoptic_deeplab/resnet50_os32.textproto'
    with pytest.raises(errors.InputError, match='name the backbone without kmax_'):
        config.load(path, ['model_options.backbone.name=kmax_resnet50'])
    with pytest.raises(errors.InputError, match='pq_style_loss is set, but it is a loss of mask transf'):
        config.load(path, ['trainer_options.loss_options.pq_style_loss.weight=3'])


def test_a_test_split_needs_no_masks():
    options = 'eval_dataset_options'
    entries = [f'{options}.thing_id_mask_annotations=false', f'{options}.decode_groundtruth_label=false']
    config.load(_COCO, entries)


@pytest.mark.parametrize(
    ('entry', 'words'),
    [
        ('model_options.backbone.output_stride=16', 'backbone.output_stride is without effect'),
        ('model_options.backbone.drop_path_schedule=linear', 'drop_path_schedule is without effect'),
        (f'{_MAX}.semantic_sample_k=4096', 'semantic_sample_k is without effect, as in DeepLab2'),
        ('evaluator_options.add_flipped_images=true', 'masks of several passes cannot be averaged'),
    ],
)
def test_fields_without_effect_are_told(entry, words):
    assert not config.advice(config.load(_COCO))
    (line,) = config.advice(config.load(_COCO, [entry]))
    assert words in line


def test_an_unused_decoder_is_told():
    entries = [
        'model_options.decoder.feature_key=feature_semantic',
        'model_options.decoder.atrous_rates=1,2,3',
    ]
    (line,) = config.advice(config.load(_CITYSCAPES, entries))
    assert line.startswith('model_options.decoder is without effect')


def test_numbers_of_a_data_set_give_way_to_those_of_the_file():
    options = config.MaXDeepLabOptions(num_mask_slots=50, use_auxiliary_semantic_decoder=True)
    expected = mask_numbers.Numbers(50, 5, True, 0.8)
    assert mask_numbers.numbers(options, 'cityscapes_panoptic') == expected
    assert (
        mask_numbers.numbers(config.MaXDeepLabOptions(), 'my.json') == mask_numbers.NUMBERS['coco_panoptic']
    )
    assert mask_numbers.numbers(config.MaXDeepLabOptions(), 'ade20k_panoptic').keep == 1.0


def test_the_field_that_one_of_deeplab2_files_has_is_known():
    text = 'model_options { max_deeplab { transformer_decoder_drop_path_keep_prob: 1.0 } }'
    assert config.loads(text).model_options.max_deeplab.transformer_decoder_drop_path_keep_prob == 1.0
