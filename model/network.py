# SPDX-License-Identifier: Apache-2.0
"""Networks from numbers, without a configuration file: one function for each architecture.

>>> network = panoptic_deeplab(19, backbone='resnet50', crop_size=(65, 129))
>>> network(np.zeros((1, 65, 129, 3), np.float32)).center_heatmap.shape
TensorShape([1, 17, 33, 1])
"""

import keras

from panpipe.model import build, config

_ATROUS_RATES = {8: (12, 24, 36), 16: (6, 12, 18), 32: (3, 6, 9)}


def panoptic_deeplab(
    num_classes: int,
    *,
    backbone: str = 'resnet50',
    output_stride: int = 32,
    crop_size: tuple[int, int] = (1025, 2049),
    has_instances: bool = True,
    use_squeeze_and_excite: bool = False,
) -> keras.Model:
    """Builds Panoptic-DeepLab with the widths of the paper, and fresh variables.

    Args:
      num_classes: channels of the semantic head.
      backbone: a name of `building.encoders.BACKBONES`.
      output_stride: 8, 16 or 32, by which the encoder reduces the resolution.
      crop_size: height and width of training crops, k · output_stride + 1; ASPP averages over such a window.
      has_instances: with the branch for centers and offsets.
      use_squeeze_and_excite: in the encoder; MobileNetV3 has it always, so must be told so.

    Returns:
      images float32 [batch, height, width, 3] in RGB, 0 .. 255 → `tensors.Heads` at stride 4.

    Raises:
      errors.InputError: there is no such backbone or stride.

    Source: Cheng et al., Panoptic-DeepLab (CVPR 2020), section 3; widths of the published configurations.
    """
    encoder = config.BackboneOptions(
        name=backbone, output_stride=output_stride, use_squeeze_and_excite=use_squeeze_and_excite
    )
    rates = _ATROUS_RATES.get(output_stride, _ATROUS_RATES[32])
    options = config.PanopticDeeplabOptions(
        low_level=_levels(64, 32),
        semantic_head=config.HeadOptions(output_channels=num_classes, head_channels=256),
        instance=_instance(rates) if has_instances else config.InstanceOptions(enable=False),
    )
    experiment = config.Experiment(
        model_options=config.ModelOptions(
            backbone=encoder, decoder=_decoder(256, rates), panoptic_deeplab=options
        ),
        train_dataset_options=config.DatasetOptions(crop_size=crop_size),
    )
    config.check(experiment)
    return build.network(experiment)


def _decoder(channels: int, rates: tuple[int, ...]) -> config.DecoderOptions:
    return config.DecoderOptions(
        feature_key='res5', decoder_channels=channels, aspp_channels=256, atrous_rates=rates
    )


def _instance(rates: tuple[int, ...]) -> config.InstanceOptions:
    return config.InstanceOptions(
        low_level_override=_levels(32, 16),
        instance_decoder_override=_decoder(128, rates),
        center_head=config.HeadOptions(output_channels=1, head_channels=32),
        regression_head=config.HeadOptions(output_channels=2, head_channels=32),
    )


def _levels(res3: int, res2: int) -> tuple[config.LowLevelOptions, ...]:
    return config.LowLevelOptions('res3', res3), config.LowLevelOptions('res2', res2)
