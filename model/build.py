# SPDX-License-Identifier: Apache-2.0
"""The only place where a configuration becomes layers."""

from collections.abc import Callable, Mapping
from typing import Any

import keras
import tensorflow as tf

from panpipe.model import architectures, config, errors
from panpipe.model.building import encoders, masks
from panpipe.model.building import parts as shared
from panpipe.model.decoders import deeplab_v3
from panpipe.model.layers import convolution


def network(experiment: config.Experiment) -> keras.Model:
    """Builds the network of a configuration, with fresh variables.

    Returns:
      images float32 [batch, height, width, 3] in RGB, 0 .. 255 → `tensors.Heads` at the decoder's stride, or
      `tensors.MaskHeads` of a mask transformer.

    Raises:
      errors.InputError: no architecture is set, or a name or a size is not one that there is.
    """
    model = experiment.model_options
    for name, make in _ARCHITECTURES.items():
        options = getattr(model, name)
        if options is not None:
            made = make(options, experiment)
            # Variables are made by the first call. A few pixels are ten times faster than tracing a graph.
            side = model.backbone.output_stride + 1
            made(tf.zeros((1, side, side, 3)))
            return made
    raise errors.InputError(f'model_options sets no architecture; set one of {", ".join(_ARCHITECTURES)}')


def _panoptic_deeplab(options: config.PanopticDeeplabOptions, experiment: config.Experiment) -> keras.Model:
    instance, decoding = options.instance, experiment.model_options.decoder
    parts, encoder = _parts(experiment), _encoder(experiment)
    semantic = architectures.SemanticBranch(
        parts.decoder(decoding, options.low_level, 'semantic_decoder'),
        *parts.head(options.semantic_head, 'semantic_head_without_last_layer', 'semantic_last_layer'),
    )
    if not instance.enable:
        return architectures.PanopticDeepLab(encoder, semantic, None)
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
    branch = architectures.InstanceBranch(decoder, *center, *offset)
    return architectures.PanopticDeepLab(encoder, semantic, branch)


def _deeplab_v3(options: config.DeeplabV3Options, experiment: config.Experiment) -> keras.Model:
    decoding, parts, encoder = experiment.model_options.decoder, _parts(experiment), _encoder(experiment)
    return architectures.DeepLabV3(
        encoder,
        shared.feature(decoding.feature_key),
        parts.aspp(decoding, 'deeplab_v3_aspp'),
        convolution.standard(decoding.decoder_channels, 3, parts.norm, name='classifier_conv_bn_act'),
        deeplab_v3.last(options.num_classes, name='semantic_last_layer'),
    )


def _deeplab_v3_plus(options: config.DeeplabV3PlusOptions, experiment: config.Experiment) -> keras.Model:
    decoding, parts, encoder = experiment.model_options.decoder, _parts(experiment), _encoder(experiment)
    norm = parts.norm
    project = convolution.standard(
        options.low_level.channels_project, 1, norm, name='deeplab_v3plus_project_conv_bn_act'
    )
    layers = architectures.FusionLayers(
        parts.aspp(decoding, 'deeplab_v3plus_aspp'),
        project,
        deeplab_v3.fuse(decoding.decoder_channels, norm, name='deeplab_v3plus_fuse'),
        deeplab_v3.last(options.num_classes, name='semantic_last_layer'),
    )
    features = shared.feature(decoding.feature_key), shared.feature(options.low_level.feature_key)
    return architectures.DeepLabV3Plus(encoder, *features, layers)


def _parts(experiment: config.Experiment) -> shared.Parts:
    return shared.Parts(shared.batch_norm(experiment), shared.pool_size(experiment))


def _encoder(experiment: config.Experiment) -> keras.layers.Layer:
    backbone = experiment.model_options.backbone
    return encoders.encoder(backbone, shared.batch_norm(experiment), encoders.BACKBONES)


_ARCHITECTURES: Mapping[str, Callable[[Any, config.Experiment], keras.Model]] = {
    'panoptic_deeplab': _panoptic_deeplab,
    'deeplab_v3': _deeplab_v3,
    'deeplab_v3_plus': _deeplab_v3_plus,
    'max_deeplab': masks.kmax_deeplab,
}
