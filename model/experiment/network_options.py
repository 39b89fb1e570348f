# SPDX-License-Identifier: Apache-2.0
"""The messages of an experiment configuration that describe the network; see `schema` for the rest."""

import dataclasses

from panpipe.model.experiment import textproto


@dataclasses.dataclass(frozen=True)
class BackboneOptions(textproto.Message):
    """Describes the encoder."""

    name: str = 'resnet50'
    output_stride: int = 32
    use_squeeze_and_excite: bool = False
    drop_path_keep_prob: float = 1.0  # of the last stage
    drop_path_schedule: str = 'constant'  # or 'linear'
    stem_width_multiplier: float = 1.0
    backbone_width_multiplier: float = 1.0
    backbone_layer_multiplier: float = 1.0
    use_sac_beyond_stride: int = -1  # switchable atrous convolution from this stride on; <= 0 is off
    squeeze_excite_gate: str = 'sigmoid'  # panpipe's own, of MobileNetV3; or 'hard_sigmoid'
    pretrained_weights: str = ''  # of a ConvNeXt encoder alone, loaded before any checkpoint


@dataclasses.dataclass(frozen=True)
class DecoderOptions(textproto.Message):
    """Describes ASPP and decoder of one branch."""

    feature_key: str = ''
    decoder_channels: int = 256
    aspp_channels: int = 256
    atrous_rates: tuple[int, ...] = ()
    decoder_conv_type: str = 'depthwise_separable_conv'  # or 'standard_conv'
    aspp_use_only_1x1_proj_conv: bool = False


@dataclasses.dataclass(frozen=True)
class LowLevelOptions(textproto.Message):
    """Names an encoder feature that the decoder joins, and its width after projection."""

    feature_key: str = ''
    channels_project: int = 0


@dataclasses.dataclass(frozen=True)
class HeadOptions(textproto.Message):
    """Describes a prediction head."""

    output_channels: int = 0
    head_channels: int = 0
    head_conv_type: str = 'depthwise_separable_conv'  # or 'standard_conv'


@dataclasses.dataclass(frozen=True)
class InstanceOptions(textproto.Message):
    """Describes the instance branch; unset overrides mean the semantic branch's settings."""

    enable: bool = True
    low_level_override: tuple[LowLevelOptions, ...] = ()
    instance_decoder_override: DecoderOptions | None = None
    center_head: HeadOptions = HeadOptions()
    regression_head: HeadOptions = HeadOptions()


@dataclasses.dataclass(frozen=True)
class DeeplabV3Options(textproto.Message):
    """Describes DeepLabv3."""

    num_classes: int = 0


@dataclasses.dataclass(frozen=True)
class DeeplabV3PlusOptions(textproto.Message):
    """Describes DeepLabv3+."""

    low_level: LowLevelOptions = LowLevelOptions()
    num_classes: int = 0


@dataclasses.dataclass(frozen=True)
class PanopticDeeplabOptions(textproto.Message):
    """Describes Panoptic-DeepLab; low levels go from low to high resolution."""

    low_level: tuple[LowLevelOptions, ...] = ()
    instance: InstanceOptions = InstanceOptions()
    semantic_head: HeadOptions = HeadOptions()


@dataclasses.dataclass(frozen=True)
class MaXDeepLabOptions(textproto.Message):
    """Describes kMaX-DeepLab; the fields after `semantic_sample_temperature` are panpipe's own.

    Where one of those is absent, its value follows from the data set (see docs/configuration.md), as DeepLab2
    has it.
    """

    pixel_space_head: HeadOptions = HeadOptions()
    auxiliary_low_level: tuple[LowLevelOptions, ...] = ()
    auxiliary_semantic_head: HeadOptions = HeadOptions()
    instance_discrimination_sample_k: int = 0  # pixels that the loss compares; 0: all
    instance_discrimination_sample_temperature: float = 0.6
    semantic_sample_k: int = 0  # without effect, as in DeepLab2
    semantic_sample_temperature: float = 1.0  # without effect, as in DeepLab2
    num_mask_slots: int | None = None  # the most segments that an image can have
    pixel_decoder_levels: int | None = None  # 4: masks at stride 4; 5: at the stride of the encoder's stem
    use_auxiliary_semantic_decoder: bool | None = None  # else semantic logits have output stride 32
    transformer_decoder_drop_path_keep_prob: float | None = None
    width_multiplier: float = 1.0  # of the channels of pixel decoder and transformer
    transformer_layers_per_level: int = 2  # on each of the three levels that the transformer reads


@dataclasses.dataclass(frozen=True)
class ModelOptions(textproto.Message):
    """Describes the network: exactly one of the architectures is set where a network is built."""

    backbone: BackboneOptions = BackboneOptions()
    decoder: DecoderOptions = DecoderOptions()
    deeplab_v3: DeeplabV3Options | None = dataclasses.field(
        default=None, metadata={'oneof': 'meta_architecture'}
    )
    deeplab_v3_plus: DeeplabV3PlusOptions | None = dataclasses.field(
        default=None, metadata={'oneof': 'meta_architecture'}
    )
    panoptic_deeplab: PanopticDeeplabOptions | None = dataclasses.field(
        default=None, metadata={'oneof': 'meta_architecture'}
    )
    max_deeplab: MaXDeepLabOptions | None = dataclasses.field(
        default=None, metadata={'oneof': 'meta_architecture'}
    )
    initial_checkpoint: str = ''
    restore_semantic_last_layer_from_initial_checkpoint: bool = True
    restore_instance_last_layer_from_initial_checkpoint: bool = True

    @property
    def has_instances(self) -> bool:
        """Whether the network tells the things of a class apart; otherwise it labels classes only."""
        panoptic = self.panoptic_deeplab
        return self.has_masks or (panoptic is not None and panoptic.instance.enable)

    @property
    def has_masks(self) -> bool:
        """Whether the network is a mask transformer, whose heads are `tensors.MaskHeads`."""
        return self.max_deeplab is not None

    @property
    def is_semantic_only(self) -> bool:
        """Whether there is a network, and it labels classes only."""
        return self.has_pixel_heads and not self.has_instances

    @property
    def has_pixel_heads(self) -> bool:
        """Whether there is a network, and it is no mask transformer: its heads are `tensors.Heads`."""
        networks = (self.panoptic_deeplab, self.deeplab_v3, self.deeplab_v3_plus)
        return any(network is not None for network in networks)
