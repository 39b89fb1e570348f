# SPDX-License-Identifier: Apache-2.0
"""Makes kMaX-DeepLab from its options."""

import dataclasses
import types
from collections.abc import Mapping

import keras

from panpipe.model import config, datasets, labels, mask_transformer
from panpipe.model.building import encoders, parts
from panpipe.model.decoders import kmeans_transformer, mask_prediction, pixel_decoder
from panpipe.model.experiment import mask_numbers
from panpipe.model.layers import activations

# What DeepLab2's files call the encoder's last feature, not activated.
_FEATURE_KEYS: Mapping[str, str] = types.MappingProxyType({'feature_semantic': 'res5'})


def num_mask_classes(codec: labels.LabelSpec) -> int:
    """Returns the number of class logits of a slot: one for each class but the ignore label, and void."""
    return len(codec.thing_ids) + len(codec.stuff_ids) + 1


def kmax_deeplab(options: config.MaXDeepLabOptions, experiment: config.Experiment) -> keras.Model:
    """Makes the network.

    Raises:
      errors.InputError: the encoder is none of those for mask transformers.
    """
    dataset = experiment.train_dataset_options.dataset or experiment.eval_dataset_options.dataset
    chosen = mask_numbers.numbers(options, dataset)
    made = parts.Parts(parts.batch_norm(experiment), None, activations.gelu)
    transformer = kmeans_transformer.Sizes(
        chosen.num_slots, layers_per_level=options.transformer_layers_per_level, keep=chosen.keep
    )
    prediction = mask_prediction.Sizes(
        options.pixel_space_head.head_channels,
        options.pixel_space_head.output_channels,
        # Without a data set one of the classes is taken to be the ignore label, as of COCO.
        num_mask_classes(datasets.find(dataset).labels)
        if dataset
        else options.auxiliary_semantic_head.output_channels,
        parts.convolve(options.pixel_space_head.head_conv_type),
    )
    model = experiment.model_options
    return mask_transformer.KMaXDeepLab(
        encoders.encoder(model.backbone, made.norm, encoders.PIXEL_ENCODERS),
        pixel_decoder.PixelDecoder(chosen.num_levels, made.norm, width=options.width_multiplier),
        kmeans_transformer.KMeansTransformer(
            transformer.times(options.width_multiplier), prediction, made.norm
        ),
        mask_prediction.layers(prediction, made.norm),
        _semantic(options, model, made, chosen.has_semantic_decoder),
    )


def _semantic(
    options: config.MaXDeepLabOptions, model: config.ModelOptions, made: parts.Parts, has_decoder: bool
) -> mask_transformer.SemanticBranch:
    head = made.head(
        options.auxiliary_semantic_head, 'semantic_head_without_last_layer', 'semantic_last_layer'
    )
    decoder = None
    if has_decoder:
        key = model.decoder.feature_key
        decoding = dataclasses.replace(model.decoder, feature_key=_FEATURE_KEYS.get(key, key))
        decoder = made.decoder(decoding, options.auxiliary_low_level, 'semantic_decoder')
    return mask_transformer.SemanticBranch(decoder, *head)
