# SPDX-License-Identifier: Apache-2.0
"""The only place where a configuration becomes layers."""

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import tensorflow as tf

from panpipe.model import config, errors
from panpipe.model import network as networks
from panpipe.model.backbones import endpoints, mobilenet_v3, resnet
from panpipe.model.decoders import aspp, deeplab_v3, fusion, heads
from panpipe.model.layers import convolution, normalization

# What the family of ResNets has and MobileNetV3 has not.
_MOBILENET_NEEDS: Mapping[str, float] = {
    'use_squeeze_and_excite': True,
    'drop_path_keep_prob': 1.0,
    'backbone_layer_multiplier': 1.0,
    'use_sac_beyond_stride': -1,
}
_CONVOLUTIONS: Mapping[str, fusion.Convolve] = {
    'depthwise_separable_conv': convolution.separable,
    'standard_conv': convolution.standard,
}


def network(experiment: config.Experiment) -> keras.Model:
    """Builds the network of a configuration, with fresh variables.

    Returns:
      images float32 [batch, height, width, 3] in RGB, 0 .. 255 → `tensors.Heads` at the decoder's stride.

    Raises:
      errors.InputError: no architecture is set, or a name or a size is not one that there is.
    """
    model = experiment.model_options
    for name, make in _ARCHITECTURES.items():
        options = getattr(model, name)
        if options is not None:
            made = make(options, model.decoder, _Parts(experiment))
            # Variables are made by the first call. A few pixels are ten times faster than tracing a graph.
            side = model.backbone.output_stride + 1
            made(tf.zeros((1, side, side, 3)))
            return made
    raise errors.InputError(f'model_options sets no architecture; set one of {", ".join(_ARCHITECTURES)}')


class _Parts:
    """Makes the layers that architectures share, from what the configuration says for all of them."""

    def __init__(self, experiment: config.Experiment) -> None:
        solver, self._backbone = experiment.trainer_options.solver_options, experiment.model_options.backbone
        self.norm = normalization.BatchNorm(
            solver.batchnorm_momentum, solver.batchnorm_epsilon, solver.use_sync_batchnorm
        )
        # The window is that of training in evaluation too: it is part of what was learnt.
        height, width = ((side - 1) // self._backbone.output_stride + 1 for side in _crop_size(experiment))
        self._pool_size = (height, width)

    def encoder(self) -> keras.layers.Layer:
        """Makes the encoder."""
        name = self._backbone.name
        if name.lower() not in BACKBONES:
            raise errors.InputError(
                f'model_options.backbone.name is {name!r}; it is one of {", ".join(BACKBONES)}'
            )
        return BACKBONES[name.lower()](self._backbone, self.norm)

    def aspp(self, options: config.DecoderOptions, name: str = 'aspp') -> keras.layers.Layer:
        """Makes the layer that looks at several scales."""
        return aspp.ASPP(options.aspp_channels, options.atrous_rates, self._pool_size, self.norm, name=name)

    def decoder(
        self, options: config.DecoderOptions, levels: Sequence[config.LowLevelOptions], name: str
    ) -> keras.layers.Layer:
        """Makes the decoder of one branch of Panoptic-DeepLab."""
        projects_only = options.aspp_use_only_1x1_proj_conv
        keys = [_feature(key) for key in (options.feature_key, *(level.feature_key for level in levels))]
        if keys != sorted(keys, reverse=True):
            raise errors.InputError(
                f'the {name} joins {", ".join(keys)}; order its features from low to high resolution, '
                'such as res5, res3, res2'
            )
        return fusion.Decoder(
            keys[0],
            aspp.Projection(options.aspp_channels, self.norm) if projects_only else self.aspp(options),
            [
                fusion.LowLevel(key, level.channels_project)
                for key, level in zip(keys[1:], levels, strict=True)
            ],
            fusion.fusions(
                len(levels), options.decoder_channels, _CONVOLUTIONS[options.decoder_conv_type], self.norm
            ),
            self.norm,
            name=name,
        )

    def head(
        self, options: config.HeadOptions, name: str, last_name: str
    ) -> tuple[keras.layers.Layer, keras.layers.Layer]:
        """Makes a head of Panoptic-DeepLab: all but its last layer, and that."""
        convolve = _CONVOLUTIONS[options.head_conv_type]
        return (
            heads.hidden(options.head_channels, convolve, self.norm, name=name),
            heads.last(options.output_channels, name=last_name),
        )


def _panoptic_deeplab(
    options: config.PanopticDeeplabOptions, decoding: config.DecoderOptions, parts: _Parts
) -> keras.Model:
    instance = options.instance
    semantic = networks.SemanticBranch(
        parts.decoder(decoding, options.low_level, 'semantic_decoder'),
        *parts.head(options.semantic_head, 'semantic_head_without_last_layer', 'semantic_last_layer'),
    )
    if not instance.enable:
        return networks.PanopticDeepLab(parts.encoder(), semantic, None)
    decoder = parts.decoder(
        instance.instance_decoder_override or decoding,
        instance.low_level_override or options.low_level,
        'instance_decoder',
    )
    names = [f'instance_{kind}_head' for kind in ('center', 'regression')]
    (center, offset) = (
        parts.head(head, f'{name}_without_last_layer', f'{name}_last_layer')
        for head, name in zip((instance.center_head, instance.regression_head), names, strict=True)
    )
    branch = networks.InstanceBranch(decoder, *center, *offset)
    return networks.PanopticDeepLab(parts.encoder(), semantic, branch)


def _deeplab_v3(
    options: config.DeeplabV3Options, decoding: config.DecoderOptions, parts: _Parts
) -> keras.Model:
    return networks.DeepLabV3(
        parts.encoder(),
        _feature(decoding.feature_key),
        parts.aspp(decoding, 'deeplab_v3_aspp'),
        convolution.standard(decoding.decoder_channels, 3, parts.norm, name='classifier_conv_bn_act'),
        deeplab_v3.last(options.num_classes, name='semantic_last_layer'),
    )


def _deeplab_v3_plus(
    options: config.DeeplabV3PlusOptions, decoding: config.DecoderOptions, parts: _Parts
) -> keras.Model:
    norm = parts.norm
    project = convolution.standard(
        options.low_level.channels_project, 1, norm, name='deeplab_v3plus_project_conv_bn_act'
    )
    layers = networks.FusionLayers(
        parts.aspp(decoding, 'deeplab_v3plus_aspp'),
        project,
        deeplab_v3.fuse(decoding.decoder_channels, norm, name='deeplab_v3plus_fuse'),
        deeplab_v3.last(options.num_classes, name='semantic_last_layer'),
    )
    features = _feature(decoding.feature_key), _feature(options.low_level.feature_key)
    return networks.DeepLabV3Plus(parts.encoder(), *features, layers)


def _mobilenet(
    table: Sequence[mobilenet_v3.Row], options: config.BackboneOptions, norm: normalization.BatchNorm
) -> keras.layers.Layer:
    for field, value in _MOBILENET_NEEDS.items():
        found = getattr(options, field)
        if found != value and max(found, value) > 0:
            raise errors.InputError(
                f'model_options.backbone.{field} is {found}; {options.name} needs {value}'
            )
    return mobilenet_v3.MobileNetV3(
        table, norm, output_stride=options.output_stride, width_multiplier=options.backbone_width_multiplier
    )


def _resnet(
    layout: resnet.Layout, options: config.BackboneOptions, norm: normalization.BatchNorm
) -> keras.layers.Layer:
    scaling = resnet.Options(
        output_stride=options.output_stride,
        stem_width=options.stem_width_multiplier,
        width=options.backbone_width_multiplier,
        depth=options.backbone_layer_multiplier,
        has_se=options.use_squeeze_and_excite,
        sac_from_stride=max(0, options.use_sac_beyond_stride),
        keep=options.drop_path_keep_prob,
        is_keep_linear=options.drop_path_schedule == 'linear',
    )
    return resnet.ResNet(layout, scaling, norm)


def _crop_size(experiment: config.Experiment) -> tuple[int, int]:
    size = experiment.train_dataset_options.crop_size
    if len(size) != 2 or min(size) < 1:
        raise errors.InputError(
            f'train_dataset_options.crop_size is {list(size)}; give height and width of a training crop, '
            'such as crop_size: 1025 crop_size: 2049'
        )
    return size[0], size[1]


def _feature(key: str) -> str:
    names = endpoints.Endpoints._fields
    if key not in names:
        raise errors.InputError(f'feature_key is {key!r}; it is one of {", ".join(names)}')
    return key


BACKBONES: Mapping[str, Callable[[config.BackboneOptions, normalization.BatchNorm], keras.layers.Layer]] = {
    'mobilenet_v3_small': functools.partial(_mobilenet, mobilenet_v3.SMALL),
    'mobilenet_v3_large': functools.partial(_mobilenet, mobilenet_v3.LARGE),
    'resnet50': functools.partial(_resnet, resnet.RESNET50),
    'resnet50_beta': functools.partial(_resnet, resnet.RESNET50_BETA),
    'wide_resnet41': functools.partial(_resnet, resnet.SWIDERNET),
    'swidernet': functools.partial(_resnet, resnet.SWIDERNET),
    'axial_swidernet': functools.partial(_resnet, resnet.AXIAL_SWIDERNET),
    # DeepLab2's has a stacked decoder too, whose output Panoptic-DeepLab does not read.
    'max_deeplab_l_backbone': functools.partial(_resnet, resnet.AXIAL_SWIDERNET),
    'max_deeplab_s_backbone': functools.partial(_resnet, resnet.MAX_DEEPLAB_S),
}

_ARCHITECTURES: Mapping[str, Callable[[Any, config.DecoderOptions, _Parts], keras.Model]] = {
    'panoptic_deeplab': _panoptic_deeplab,
    'deeplab_v3': _deeplab_v3,
    'deeplab_v3_plus': _deeplab_v3_plus,
}
