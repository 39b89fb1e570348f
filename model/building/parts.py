# SPDX-License-Identifier: Apache-2.0
"""The parts that networks share: decoders, prediction heads and normalization, made from a configuration."""

import dataclasses
from collections.abc import Sequence

import keras
import tensorflow as tf

from panpipe.model import config, errors
from panpipe.model.backbones import endpoints
from panpipe.model.decoders import aspp, fusion, heads
from panpipe.model.experiment import names
from panpipe.model.layers import activations, normalization


def convolve(name: str) -> fusion.Convolve:
    """Finds what makes convolutions of a kind, 'standard_conv' or one of the others in `names`."""
    made: fusion.Convolve = names.find('conv_type', name, names.CONVOLUTIONS)
    return made


@dataclasses.dataclass(frozen=True)
class Parts:
    """Makes the layers that networks share, from what the configuration says for all of them.

    Attributes:
      norm: makes normalization layers.
      pool_size: height and width of the window that ASPP averages over; None for the whole map.
      activation: of all convolutions.
    """

    norm: normalization.BatchNorm
    pool_size: tuple[int, int] | None
    activation: activations.Activation = tf.nn.relu

    def aspp(self, options: config.DecoderOptions, name: str = 'aspp') -> keras.layers.Layer:
        """Makes the layer that looks at several scales."""
        return aspp.ASPP(
            options.aspp_channels,
            options.atrous_rates,
            self.pool_size,
            self.norm,
            activation=self.activation,
            name=name,
        )

    def decoder(
        self, options: config.DecoderOptions, levels: Sequence[config.LowLevelOptions], name: str
    ) -> keras.layers.Layer:
        """Makes a decoder in the manner of Panoptic-DeepLab."""
        projects_only = options.aspp_use_only_1x1_proj_conv
        keys = [feature(key) for key in (options.feature_key, *(level.feature_key for level in levels))]
        if keys != sorted(keys, reverse=True):
            raise errors.InputError(
                f'the {name} joins {", ".join(keys)}; order its features from low to high resolution, '
                'such as res5, res3, res2'
            )
        fusing = fusion.Fusing(
            options.decoder_channels, convolve(options.decoder_conv_type), self.norm, self.activation
        )
        widths = [level.channels_project for level in levels]
        return fusion.Decoder(
            keys[0],
            aspp.Projection(options.aspp_channels, self.norm) if projects_only else self.aspp(options),
            [
                fusing.low_level(number, key, width)
                for number, (key, width) in enumerate(zip(keys[1:], widths, strict=True), start=1)
            ],
            name=name,
        )

    def head(
        self, options: config.HeadOptions, name: str, last_name: str
    ) -> tuple[keras.layers.Layer, keras.layers.Layer]:
        """Makes a head: all but its last layer, and that."""
        kind = convolve(options.head_conv_type)
        return (
            heads.hidden(options.head_channels, kind, self.norm, activation=self.activation, name=name),
            heads.last(options.output_channels, name=last_name),
        )


def batch_norm(experiment: config.Experiment) -> normalization.BatchNorm:
    """Returns how the networks of a configuration normalize."""
    solver = experiment.trainer_options.solver_options
    return normalization.BatchNorm(
        solver.batchnorm_momentum, solver.batchnorm_epsilon, solver.use_sync_batchnorm
    )


def pool_size(experiment: config.Experiment) -> tuple[int, int]:
    """Returns height and width of the encoder's last feature for a training crop.

    ASPP averages over that window in evaluation too: it is part of what was learnt.

    Raises:
      errors.InputError: the size of training crops is not given.
    """
    size = experiment.train_dataset_options.crop_size
    if len(size) != 2 or min(size) < 1:
        raise errors.InputError(
            f'train_dataset_options.crop_size is {list(size)}; give height and width of a training crop, '
            'such as crop_size: 1025 crop_size: 2049'
        )
    height, width = ((side - 1) // experiment.model_options.backbone.output_stride + 1 for side in size)
    return height, width


def feature(key: str) -> str:
    """Returns the name of an encoder's feature.

    Raises:
      errors.InputError: there is no such feature.
    """
    names = endpoints.Endpoints._fields
    if key not in names:
        raise errors.InputError(f'feature_key is {key!r}; it is one of {", ".join(names)}')
    return key
