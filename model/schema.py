# SPDX-License-Identifier: Apache-2.0
"""The messages of an experiment configuration, as frozen dataclasses.

Field names and defaults are those of DeepLab2's experiment options, so that its files can be read unchanged.
`X | None` marks a field whose presence means something; None is absence.
"""

import dataclasses

from panpipe.model import textproto

# Sizes are [height, width] in pixels; an empty size or one with a value <= 0 is off.
Size = tuple[int, ...]


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
class ModelOptions(textproto.Message):
    """Describes the network: exactly one of the three architectures is set where a network is built."""

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
    initial_checkpoint: str = ''
    restore_semantic_last_layer_from_initial_checkpoint: bool = True
    restore_instance_last_layer_from_initial_checkpoint: bool = True

    @property
    def has_instances(self) -> bool:
        """Whether the network tells the things of a class apart; otherwise it labels classes only."""
        return self.panoptic_deeplab is not None and self.panoptic_deeplab.instance.enable

    @property
    def is_semantic_only(self) -> bool:
        """Whether there is a network, and it labels classes only."""
        networks = (self.panoptic_deeplab, self.deeplab_v3, self.deeplab_v3_plus)
        return any(network is not None for network in networks) and not self.has_instances


@dataclasses.dataclass(frozen=True)
class SingleLossOptions(textproto.Message):
    """Describes one loss; `top_k_percent` is a fraction of the pixels, 0 .. 1."""

    name: str = ''
    weight: float = 1.0
    top_k_percent: float = 1.0


@dataclasses.dataclass(frozen=True)
class LossOptions(textproto.Message):
    """Lists the losses; an absent one is not computed."""

    semantic_loss: SingleLossOptions | None = None
    center_loss: SingleLossOptions | None = None
    regression_loss: SingleLossOptions | None = None


@dataclasses.dataclass(frozen=True)
class SolverOptions(textproto.Message):
    """Describes optimizer, learning rate and batch normalization."""

    use_sync_batchnorm: bool = True
    batchnorm_momentum: float = 0.99
    batchnorm_epsilon: float = 0.001
    learning_policy: str = 'poly'  # or 'cosine'
    base_learning_rate: float = 1e-3
    poly_learning_power: float = 0.9
    poly_end_learning_rate: float = 0.0
    warmup_steps: int = 0
    optimizer: str = 'adam'  # or 'sgd', 'adamw'
    weight_decay: float = 0.0
    adamw_weight_decay: float = 0.0
    use_gradient_clipping: bool = False
    clip_gradient_norm: float = 10.0
    training_number_of_steps: int = 60000
    backbone_learning_rate_multiplier: float | None = None  # present: the encoder has its own optimizer
    ema_momentum: float = (
        0.0  # panpipe's own: weights are averaged over steps for evaluation and export; 0: not
    )


@dataclasses.dataclass(frozen=True)
class TrainerOptions(textproto.Message):
    """Describes the training loop; the fields after `solver_options` are panpipe's own."""

    num_checkpoints_to_keep: int = 5
    save_checkpoints_steps: int = 1000
    save_summaries_steps: int = 1000
    steps_per_loop: int = 1000
    loss_options: LossOptions = LossOptions()
    solver_options: SolverOptions = SolverOptions()
    seed: int = 0  # weights, dropout, order and augmentation follow from it
    gradient_accumulation_steps: int = 1  # parts of a batch that go through the network one after another
    mixed_precision: str = ''  # or 'bfloat16'
    recompute: bool = False  # the backward pass computes activations once more instead of keeping them


@dataclasses.dataclass(frozen=True)
class AugmentationOptions(textproto.Message):
    """Describes random scaling and colour changes; the flip is always on in training."""

    min_scale_factor: float = 1.0
    max_scale_factor: float = 1.0
    scale_factor_step_size: float = 0.25
    autoaugment_policy_name: str = ''


@dataclasses.dataclass(frozen=True)
class DatasetOptions(textproto.Message):
    """Describes one set of records and how they become network inputs."""

    dataset: str = ''
    file_pattern: tuple[str, ...] = ()
    batch_size: int = 32  # of all replicas together
    crop_size: Size = ()
    min_resize_value: Size = ()
    max_resize_value: Size = ()
    resize_factor: int = 0
    augmentations: AugmentationOptions = AugmentationOptions()
    sigma: float = 8.0  # of a center's Gaussian, in pixels of the network input
    increase_small_instance_weights: bool = False
    small_instance_threshold: int = 4096
    small_instance_weight: float = 3.0
    decode_groundtruth_label: bool = True


@dataclasses.dataclass(frozen=True)
class EvaluatorOptions(textproto.Message):
    """Describes evaluation and post-processing."""

    eval_steps: int = -1  # -1: all samples
    eval_interval: int = 5000
    continuous_eval_timeout: int = -1  # seconds; -1: none
    use_tf_function: bool = True
    add_flipped_images: bool = False
    stuff_area_limit: int = 0
    center_score_threshold: float = 0.1
    nms_kernel: int = 3
    keep_k_centers: int = 400
    save_predictions: bool = False
    override_save_dir: str | None = None
    num_vis_samples: int = 10
    save_raw_predictions: bool = False
    convert_raw_to_eval_ids: bool = True
    eval_scales: tuple[float, ...] = ()  # empty: the image's own scale only
    merge_semantic_and_instance_with_tf_op: bool = True
    raw_panoptic_format: str = 'two_channel_png'  # or 'three_channel_png', 'two_channel_numpy_array'
    detailed_ap_metrics: bool = False


@dataclasses.dataclass(frozen=True)
class Experiment(textproto.Message):
    """Describes an experiment: the root of a configuration file."""

    experiment_name: str = ''
    model_options: ModelOptions = ModelOptions()
    trainer_options: TrainerOptions = TrainerOptions()
    train_dataset_options: DatasetOptions = DatasetOptions()
    evaluator_options: EvaluatorOptions = EvaluatorOptions()
    eval_dataset_options: DatasetOptions = DatasetOptions()
