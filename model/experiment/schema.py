# SPDX-License-Identifier: Apache-2.0
"""The messages of an experiment configuration, as frozen dataclasses.

Field names and defaults are those of DeepLab2's experiment options, so that its files can be read unchanged.
`X | None` marks a field whose presence means something; None is absence.
"""

import dataclasses

from panpipe.model.experiment import textproto
from panpipe.model.experiment.network_options import BackboneOptions as BackboneOptions
from panpipe.model.experiment.network_options import DecoderOptions as DecoderOptions
from panpipe.model.experiment.network_options import DeeplabV3Options as DeeplabV3Options
from panpipe.model.experiment.network_options import DeeplabV3PlusOptions as DeeplabV3PlusOptions
from panpipe.model.experiment.network_options import HeadOptions as HeadOptions
from panpipe.model.experiment.network_options import InstanceOptions as InstanceOptions
from panpipe.model.experiment.network_options import LowLevelOptions as LowLevelOptions
from panpipe.model.experiment.network_options import MaXDeepLabOptions as MaXDeepLabOptions
from panpipe.model.experiment.network_options import ModelOptions as ModelOptions
from panpipe.model.experiment.network_options import PanopticDeeplabOptions as PanopticDeeplabOptions

# Sizes are [height, width] in pixels; an empty size or one with a value <= 0 is off.
Size = tuple[int, ...]


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
    pq_style_loss: SingleLossOptions | None = None
    mask_id_cross_entropy_loss: SingleLossOptions | None = None
    instance_discrimination_loss: SingleLossOptions | None = None


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
class PanopticCopyPasteOptions(textproto.Message):
    """Describes what segments of a second image are pasted: 'all', 'none' or a 'random' choice of a kind."""

    panoptic_copy_paste_scale: float = 0.0  # factor of the second image's random scale
    panoptic_copy_paste_thing_option: str = 'random'
    panoptic_copy_paste_stuff_option: str = 'random'
    panoptic_copy_paste_void_option: str = 'none'


@dataclasses.dataclass(frozen=True)
class AugmentationOptions(textproto.Message):
    """Describes random scaling and colour changes; the flip is always on in training."""

    min_scale_factor: float = 1.0
    max_scale_factor: float = 1.0
    scale_factor_step_size: float = 0.25
    autoaugment_policy_name: str = ''
    panoptic_copy_paste: PanopticCopyPasteOptions | None = None


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
    thing_id_mask_annotations: bool = False  # mask transformers' targets, besides the class of each pixel
    max_thing_id: int = 128  # the most things that an image may have for those


@dataclasses.dataclass(frozen=True)
class MaskwisePostProcessingOptions(textproto.Message):
    """Describes how the masks of a mask transformer are pasted one after another, the surest first."""

    transformer_class_confidence_threshold_thing: float = 0.7
    transformer_class_confidence_threshold_stuff: float = 0.7
    overlapping_threshold: float = 0.5  # fraction of a mask that must still be free
    reorder_class_weight: float = 1.0  # exponent of the class confidence in the order
    reorder_mask_weight: float = 0.0  # exponent of the mask confidence in the order


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
    thing_area_limit: int = 0  # of mask transformers, as the fields that follow
    transformer_class_confidence_threshold: float = 0.7
    pixel_confidence_threshold: float = 0.4
    transformer_post_processing: str = 'pixelwise'  # or 'maskwise'
    maskwise_postprocessing: MaskwisePostProcessingOptions | None = None


@dataclasses.dataclass(frozen=True)
class Experiment(textproto.Message):
    """Describes an experiment: the root of a configuration file."""

    experiment_name: str = ''
    model_options: ModelOptions = dataclasses.field(default_factory=ModelOptions)
    trainer_options: TrainerOptions = TrainerOptions()
    train_dataset_options: DatasetOptions = DatasetOptions()
    evaluator_options: EvaluatorOptions = EvaluatorOptions()
    eval_dataset_options: DatasetOptions = DatasetOptions()
