# SPDX-License-Identifier: Apache-2.0
"""Makes encoders by the names that configurations give them."""

import functools
from collections.abc import Callable, Mapping, Sequence

import keras
import tensorflow as tf

from panpipe.model import config, errors
from panpipe.model.backbones import convnext, mobilenet_v3, resnet
from panpipe.model.layers import activations, normalization

Make = Callable[[config.BackboneOptions, normalization.BatchNorm], keras.layers.Layer]

# What the family of ResNets has and MobileNetV3 has not.
_MOBILENET_NEEDS: Mapping[str, float] = {
    'use_squeeze_and_excite': True,
    'drop_path_keep_prob': 1.0,
    'backbone_layer_multiplier': 1.0,
    'use_sac_beyond_stride': -1,
}

_GATES: Mapping[str, activations.Activation] = {
    'sigmoid': tf.sigmoid,
    'hard_sigmoid': activations.exact_hard_sigmoid,
}


def encoder(
    options: config.BackboneOptions, norm: normalization.BatchNorm, table: Mapping[str, Make]
) -> keras.layers.Layer:
    """Makes the encoder that `options` names, whatever its case, out of a table.

    Raises:
      errors.InputError: the table has no such name, or the encoder cannot do what the options ask for.
    """
    name = options.name
    if name.lower() not in table:
        raise errors.InputError(f'model_options.backbone.name is {name!r}; it is one of {", ".join(table)}')
    return table[name.lower()](options, norm)


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
        table,
        norm,
        output_stride=options.output_stride,
        width_multiplier=options.backbone_width_multiplier,
        gate=_GATES[options.squeeze_excite_gate],
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


def _pixel_resnet(
    layout: resnet.Layout, options: config.BackboneOptions, norm: normalization.BatchNorm
) -> keras.layers.Layer:
    scaling = resnet.Options(keep=options.drop_path_keep_prob, is_keep_linear=True)
    return resnet.PixelResNet(layout, scaling, norm)


def _convnext(
    layout: convnext.Layout, options: config.BackboneOptions, norm: normalization.BatchNorm
) -> keras.layers.Layer:
    return convnext.ConvNeXt(layout, options.drop_path_keep_prob)


# Of networks that label each pixel.
BACKBONES: Mapping[str, Make] = {
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

# Of mask transformers: they give what is not activated yet, and reduce the resolution by 32.
PIXEL_ENCODERS: Mapping[str, Make] = {
    'kmax_resnet50': functools.partial(_pixel_resnet, resnet.RESNET50),
    'kmax_axial_resnet50': functools.partial(_pixel_resnet, resnet.KMAX_AXIAL_RESNET50),
    'kmax_convnext_atto': functools.partial(_convnext, convnext.ATTO),
    'kmax_convnext_tiny': functools.partial(_convnext, convnext.TINY),
    'kmax_convnext_small': functools.partial(_convnext, convnext.SMALL),
    'kmax_convnext_base': functools.partial(_convnext, convnext.BASE),
    'kmax_convnext_large': functools.partial(_convnext, convnext.LARGE),
    'kmax_convnext_xlarge': functools.partial(_convnext, convnext.XLARGE),
}
