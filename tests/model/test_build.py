# SPDX-License-Identifier: Apache-2.0
"""A configuration becomes the network of its paper, or an error that tells the cure."""

import dataclasses
import pathlib

import numpy as np
import pytest

import experiments
from panpipe.model import build, config, errors

_CONFIGS = pathlib.Path(__file__).parents[2] / 'model/configs'


def _load(path, monkeypatch, *overrides):
    for variable in ('EXPERIMENT_NAME', 'INIT_CHECKPOINT', 'TRAIN_SET', 'VAL_SET'):
        monkeypatch.setenv(variable, 'unused')
    return config.load(_CONFIGS / path, overrides)


def _toy_with(**options):
    experiment = experiments.load('unused')
    return dataclasses.replace(
        experiment, model_options=dataclasses.replace(experiment.model_options, **options)
    )


def _toy(**backbone):
    options = experiments.load('unused').model_options.backbone
    return _toy_with(backbone=dataclasses.replace(options, **backbone))


def _parameters(network):
    return sum(int(np.prod(v.shape)) for v in network.trainable_variables)


_PANOPTIC = 'cityscapes/panoptic_deeplab'


@pytest.mark.parametrize(
    ('path', 'parameters'),
    [
        (f'{_PANOPTIC}/mobilenet_v3_small_os32', 10_484_198),
        (f'{_PANOPTIC}/mobilenet_v3_large_os32', 18_236_534),
        (f'{_PANOPTIC}/resnet50_os32_merge_with_pure_tf_func', 54_973_702),
        pytest.param(f'{_PANOPTIC}/resnet50_os32_semseg', 39_335_219, marks=pytest.mark.slow),
        ('example/example_cityscapes_deeplabv3_mv3l', 11_024_963),
        pytest.param('example/example_cityscapes_deeplabv3', 39_638_355, marks=pytest.mark.slow),
        pytest.param('example/example_cityscapes_deeplabv3plus', 39_210_947, marks=pytest.mark.slow),
        pytest.param(f'{_PANOPTIC}/resnet50_beta_os32', 55_097_478, marks=pytest.mark.slow),
        pytest.param(f'{_PANOPTIC}/wide_resnet41_os16', 140_479_750, marks=pytest.mark.slow),
        pytest.param(f'{_PANOPTIC}/swidernet_sac_1_1_1_os16', 144_418_057, marks=pytest.mark.slow),
    ],
)
def test_numbers_of_parameters(path, parameters, monkeypatch):
    experiment = _load(f'{path}.textproto', monkeypatch)
    assert _parameters(build.network(experiment)) == parameters


def test_names_are_case_blind():
    assert _parameters(build.network(_toy(name='MobileNet_V3_Small'))) > 10_000_000


def test_an_unknown_backbone_lists_those_that_there_are():
    with pytest.raises(errors.InputError, match=r"'resnet51'; it is one of .*resnet50, resnet50_beta"):
        build.network(_toy(name='resnet51'))


@pytest.mark.parametrize(
    ('field', 'value'),
    [
        ('use_squeeze_and_excite', False),
        ('drop_path_keep_prob', 0.8),
        ('backbone_layer_multiplier', 2.0),
        ('use_sac_beyond_stride', 32),
    ],
)
def test_mobilenet_refuses_what_it_cannot_do(field, value):
    with pytest.raises(errors.InputError, match=f'backbone.{field} is {value}'):
        build.network(_toy(**{field: value}))


def test_an_unknown_feature():
    decoder = config.DecoderOptions('res6', atrous_rates=(1, 2, 3))
    with pytest.raises(errors.InputError, match="feature_key is 'res6'; it is one of res1, res2"):
        build.network(_toy_with(decoder=decoder))


def test_the_size_of_training_crops_is_needed():
    experiment = dataclasses.replace(_toy(), train_dataset_options=config.DatasetOptions(crop_size=(33,)))
    with pytest.raises(errors.InputError, match=r'crop_size is \[33\]; give height and width'):
        build.network(experiment)


def test_low_levels_go_from_low_to_high_resolution():
    panoptic = _toy().model_options.panoptic_deeplab
    turned = dataclasses.replace(panoptic, low_level=panoptic.low_level[::-1])
    with pytest.raises(errors.InputError, match='semantic_decoder joins res5, res2, res3; order'):
        build.network(_toy_with(panoptic_deeplab=turned))


def test_no_architecture():
    with pytest.raises(errors.InputError, match='set one of panoptic_deeplab, deeplab_v3'):
        build.network(_toy_with(panoptic_deeplab=None))


def test_batch_normalization_takes_its_numbers_from_the_solver():
    options = 'trainer_options.solver_options'
    values = ('batchnorm_epsilon=0.5', 'batchnorm_momentum=0.25', 'use_sync_batchnorm=false')
    experiment = experiments.load('unused', 4, *(f'{options}.{value}' for value in values))
    found = {
        (layer.epsilon, layer.momentum, layer.synchronized)
        for layer in build.network(experiment)._flatten_layers()
        if hasattr(layer, 'epsilon')
    }
    assert found == {(0.5, 0.25, False)}
